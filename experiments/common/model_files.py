"""Locate weights by a local path or a model hub id, and compute the digest of their content.

A moved or copied folder keeps its digest; an edited file changes it.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.common.cache import content_digest
from experiments.common.errors import ExperimentError
from experiments.common.manifest import FILES, MANIFEST, is_broken

HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
EXPORTED = "model"  # the folder of a finished job that holds its trained model
MAIN = "main"  # the hub's usual revision
MARKS = ("config.json", "modules.json")  # files of which a model's folder has one
COMMIT = re.compile(r"[0-9a-f]{40}")
UNKNOWN = "unknown"  # instead of a commit, where neither the hub nor its cache says which
NOT_READ = re.compile(
    r"(.*\.(md|log|onnx|h5|msgpack|ot|gguf)|optimizer.*|scheduler\.pt|scaler\.pt|trainer_state\.json|training_args\.bin"
    r"|rng_state.*|events\.out\..*)"
)  # files of a model's folder that decide nothing that is computed here


def is_folder(place: str) -> bool:
    """Return whether a place means a local folder, existing or not, rather than a model hub id."""
    path = Path(place)
    looks_like_path = not HUB_ID.fullmatch(place) or place in (".", "..")
    return looks_like_path or path.exists() or (str(path.parent) != "." and path.parent.is_dir())


def resolved(place: str) -> str:
    """Return the absolute real path of a local path. A hub id and a catalogue id (``ir_datasets:...``) stay."""
    local = Path(place).exists() or (place.partition(":")[0] != "ir_datasets" and is_folder(place))
    return os.path.realpath(place) if local else place


def model_in(place: str) -> str:
    """Return the folder of the trained model, given the folder of a finished job; any other place itself."""
    exported = Path(place, EXPORTED)
    of_job = exported.is_dir() and not any(Path(place, name).is_file() for name in MARKS)
    return str(exported) if of_job else place


def name_of(place: str) -> str:
    """Return a short name of a folder or hub id: its last part, for the model of a job the job's."""
    parts = [part for part in re.split(r"[/\\]", os.path.normpath(place)) if part]
    return parts[-2] if parts[-1] == EXPORTED and len(parts) > 1 else parts[-1]


def model_digest(place: str, revision: str | None, key: str) -> str:
    """Return the digest of a folder's files, or id and commit of a hub's model. ``key``: of ``place`` in the config.

    Raises:
        ExperimentError: the folder does not exist or holds no model.
    """
    if is_folder(place):
        check_folder(place, key)
        contents = _contents(Path(place))
        _refuse_altered(Path(place), contents, key)
        return _digest_of(contents)
    return f"{place}@{hub_commit(place, revision) or f'{UNKNOWN}:{revision or MAIN}'}"


def check_folder(place: str, key: str) -> None:
    """Raise ExperimentError unless a folder holds a model. ``key``: names it in the config."""
    if not Path(place).is_dir():
        raise ExperimentError(f"{key}: there is no folder {place}")
    if not any(Path(place, name).is_file() for name in MARKS):
        raise ExperimentError(f"{key}: the folder {place} holds no model, neither a config.json nor a modules.json")


def folder_digest(folder: Path) -> str:
    """Return the digest of the names and contents of all files that can change what a model computes."""
    return _digest_of(_contents(folder))


def _contents(folder: Path) -> dict[str, str]:
    """Map each file that can change what a model computes to the digest of its content."""
    contents = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in name.split("/"))
        if path.is_file() and not hidden and not NOT_READ.fullmatch(path.name):
            contents[name] = content_digest(path)
    return contents


def _digest_of(contents: Mapping[str, str]) -> str:
    whole = hashlib.blake2b(digest_size=16)
    for name, digest in contents.items():
        whole.update(f"{name} {digest}\n".encode())
    return whole.hexdigest()


_found_whole: set[tuple[object, ...]] = set()  # names, sizes and times of the files of models that were checked


def refuse_altered(place: str, key: str) -> None:
    """Raise ExperimentError if a place is the model of a finished job, and a file of it is not the one that the job
    wrote. ``key``: of ``place`` in the config. The files are read once, as long as their sizes and times stay.
    """
    folder = Path(place)
    if folder.name != EXPORTED or not (folder.parent / MANIFEST).is_file():
        return
    files = [path for path in sorted(folder.parent.glob(f"{EXPORTED}/**/*")) if path.is_file()]
    files.append(folder.parent / MANIFEST)
    state = tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    if state not in _found_whole:
        _refuse_altered(folder, _contents(folder), key)
        _found_whole.add(state)


def _refuse_altered(folder: Path, contents: Mapping[str, str], key: str) -> None:
    """Raise ExperimentError if a file of a finished job's model is not the one that the job wrote."""
    manifest = folder.parent / MANIFEST
    if folder.name != EXPORTED or not manifest.is_file():
        return
    try:
        noted = json.loads(manifest.read_text(encoding="utf-8"))
        files = {} if is_broken(noted) else noted[FILES]  # the job itself says that its manifest is damaged
        digests = {
            name.removeprefix(f"{EXPORTED}/"): file["blake2b"]
            for name, file in files.items()
            if name.startswith(f"{EXPORTED}/")
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    for name, digest in digests.items():
        if contents.get(name) != digest:
            problem = "was altered since its job finished" if name in contents else "is missing"
            raise ExperimentError(f"{key}: {folder / name} {problem}: run the job {folder.parent.name} again")


def hub_commit(place: str, revision: str | None) -> str | None:
    """Return the commit that would be loaded now: the revision if it is a commit, else from the hub, else from the
    local cache; None if neither knows it.
    """
    if COMMIT.fullmatch(revision or ""):
        return revision
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    for name in ("config.json", "modules.json"):
        try:
            path = Path(hf_hub_download(place, name, revision=revision))
        except (OSError, ValueError, HfHubHTTPError):
            continue
        return path.parent.name
    return None


def changes(before: Any, now: Mapping[str, str]) -> list[str]:
    """Return the names of inputs whose digests differ from ``before``, a job's noted ones.

    A hub's model whose commit cannot be known now counts as unchanged.
    """
    known = before if isinstance(before, Mapping) else {}
    return [name for name in sorted({*known, *now}) if not _same(str(known.get(name)), str(now.get(name)))]


def _same(before: str, now: str) -> bool:
    place, _, commit = now.rpartition("@")
    return before == now or (commit.startswith(UNKNOWN) and before.startswith(f"{place}@"))
