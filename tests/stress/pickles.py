"""Plant pickles under every name of a job's folder, and read it by every command: ``python -m stress.pickles``.

(PYTHONPATH=tests.) Loading one makes a file, which must never appear. They are planted as a pickle, as torch and NumPy
write one, and as a tag of YAML; under the names of a finished and of an interrupted job, and under those that libraries
and earlier versions look for in the place of others. All digests of the job are made those of the planted file, as
whoever plants one would. The commands are status, verify, report, compare, probe and the next start. Then they are
planted in the place of each file of the cache, and the job is run anew.
"""

import argparse
import contextlib
import gzip
import io
import json
import pickle
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from helpers.damages import Damaged, TwoJobs, files_of
from helpers.jobs import run
from helpers.seals import reseal
from stress.studies import write_inputs

from experiments.common.cache import file_digest, fingerprint
from experiments.common.errors import ExperimentError

MARKER = Path(tempfile.gettempdir(), f"pickle-was-loaded-{fingerprint(sys.argv)}")
INSTEAD = {  # names that something may look for -> the file that is missing then
    "model/pytorch_model.bin": "model/model.safetensors",
    "model/model.safetensors.index.json": "model/model.safetensors",
    "model/pytorch_model.bin.index.json": "model/model.safetensors",
    "model/adapter_model.bin": "model/model.safetensors",
    "model/training_args.bin": "model/config.json",
    "model/tokenizer.pkl": "model/tokenizer.json",
    "model/modules.json": "model/config.json",
    "model/0_Dense/pytorch_model.bin": "model/config.json",
    "checkpoints/last.ckpt": "checkpoints/record.json",
    "checkpoints/best.ckpt": "checkpoints/record.json",
    "negatives.npy": "negatives.tsv.gz",
    "config.pickle": "hydra/config.yaml",
}  # fmt: skip


LOADED = "loaded"
FORGED = "forged files of the cache refused by the library that reads them"
COUNTED = ("planted", LOADED, "tracebacks", "wrong numbers", FORGED)


class Planted:
    """What a pickle of it would run."""

    def __reduce__(self) -> Any:
        return Path.touch, (MARKER,)


def _torch(file: io.BytesIO) -> None:
    torch.save({"state_dict": {"weight": torch.zeros(2)}, "planted": Planted()}, file)


def _numpy(file: io.BytesIO) -> None:
    np.save(file, np.array([Planted()], dtype=object), allow_pickle=True)


def _yaml(file: io.BytesIO) -> None:
    file.write(f"state: finished\nx: !!python/object/apply:pathlib.Path.touch\n- {MARKER}\n".encode())


FORMS: dict[str, Callable[[io.BytesIO], None]] = {
    "pickle": partial(pickle.dump, Planted()), "torch": _torch, "numpy": _numpy, "yaml": _yaml,
}  # fmt: skip


def content_of(form: str, name: str) -> bytes:
    """Return a file that runs code when it is loaded, packed if its name says so."""
    file = io.BytesIO()
    FORMS[form](file)
    return gzip.compress(file.getvalue()) if name.endswith(".gz") else file.getvalue()


def check_forms() -> None:
    """Make sure that each form does run code where pickles are loaded."""
    loads: dict[str, Callable[[io.BytesIO], Any]] = {
        "pickle": pickle.load,
        "torch": partial(torch.load, weights_only=False),
        "numpy": partial(np.load, allow_pickle=True),
    }
    for form, load in loads.items():
        load(io.BytesIO(content_of(form, "x")))
        assert MARKER.exists(), form
        MARKER.unlink()
    assert yaml.unsafe_load("!!python/object/apply:os.path.basename [a/b]") == "b"


def plant(form: str, path: Path) -> None:
    """Write a pickle in the place of a file of a job, and make the digests of the job those of it."""
    job = next(folder for folder in path.parents if folder.name.startswith("lce-"))
    instead = INSTEAD.get(path.relative_to(job).as_posix())
    if instead is not None:
        (job / instead).unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content_of(form, path.name))
    if path.name not in ("status.json", "manifest.json"):
        reseal(job)
    record = job / "checkpoints" / "record.json"
    if path.parent == record.parent and record.is_file() and path != record:
        value = json.loads(record.read_text())
        for saved in (generation[part] for generation in value["generations"] for part in ("last", "best")):
            if saved is not None and saved["file"] == path.name:
                saved |= {"bytes": path.stat().st_size, "blake2b": file_digest(path)}
        value.pop("digest")
        record.write_text(json.dumps({**value, "digest": fingerprint(value)}))


class Watched(Damaged):
    """Notes the commands that have loaded a pickle."""

    @contextlib.contextmanager
    def _watched(self, who: str) -> Iterator[None]:
        with super()._watched(who):
            yield
        if MARKER.exists():
            MARKER.unlink()
            self.ran = [*getattr(self, "ran", []), who]


def main() -> int:
    """Plant them all; returns 1 if one was loaded, or a command ended in a traceback or with other numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="try every N-th only")
    options = parser.parse_args()
    check_forms()
    with tempfile.TemporaryDirectory() as folder:
        return plant_all(Path(folder), options.every)


def plant_all(place: Path, every: int) -> int:
    """Plant each form under each name in two jobs below a folder; print each problem and the counts."""
    jobs = TwoJobs.run_in(place, *write_inputs(place), "study=s")
    sound = jobs.read(place / "sound")
    names = ((job, name) for job in (jobs.finished, jobs.stopped) for name in sorted({*files_of(job), *INSTEAD}))
    cases = [(job, name, form) for job, name in names for form in FORMS]
    counts = Counter(dict.fromkeys(COUNTED, 0))
    for job, name, form in cases[::every]:
        planted = Watched(job, place / "copy", name, partial(plant, form), jobs.whole)
        planted.look()
        planted.read_on(jobs.overrides, sound)
        seen = planted.resume(jobs.overrides)
        ran = getattr(planted, "ran", [])
        counts += Counter({"planted": 1, "loaded": len(ran), "tracebacks": len(seen.crashes)})
        counts["wrong numbers"] += len(seen.believed)
        for problem in (*(f"loaded by {who}" for who in ran), *seen.crashes, *seen.believed):
            print(f"{job.parents[1].name}: {name}, {form}: {problem}", flush=True)
    for path in sorted(path.relative_to(place / "cache") for path in (place / "cache").rglob("*") if path.is_file()):
        for form in list(FORMS)[::every]:
            problem = planted_in_cache(place, path, form, jobs.overrides)
            counts += Counter({"planted": 1, LOADED: problem == LOADED, FORGED: problem not in ("", LOADED)})
            print(f"cache: {path}, {form}: {problem}\n" if problem == LOADED else "", end="", flush=True)
    print(", ".join(f"{counts[name]} {name}" for name in COUNTED))
    return int(any(counts[name] for name in (LOADED, "tracebacks", "wrong numbers")))


def planted_in_cache(place: Path, name: Path, form: str, overrides: list[str]) -> str:
    """Plant a pickle in the place of a file of the cache and run the job anew; returns what was wrong with that."""
    for copied in ("cache-copy", "copy"):
        shutil.rmtree(place / copied, ignore_errors=True)
    cache = Path(shutil.copytree(place / "cache", place / "cache-copy"))
    path, manifest = cache / name, cache / name.parts[0] / name.parts[1] / "manifest.json"
    path.write_bytes(content_of(form, path.name))
    if path != manifest and manifest.is_file():
        value = json.loads(manifest.read_text())
        file = path.relative_to(manifest.parent).as_posix()
        value["files"][file] = {"bytes": path.stat().st_size, "blake2b": file_digest(path)}
        manifest.write_text(json.dumps(value))
    problem = ""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            run([*overrides, f"outputs={place / 'copy'}", f"cache={cache}"])
        except ExperimentError:
            pass
        except Exception as error:
            problem = f"{type(error).__name__}: {str(error)[:200]}"
    if MARKER.exists():
        MARKER.unlink()
        return LOADED
    return problem


if __name__ == "__main__":
    sys.exit(main())
