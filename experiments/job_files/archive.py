"""Keep the results of a study in one small file, ``sweeps/results/<study>.zip``, and open it as a study's folder.

An archive holds what reports read, under the names and in the formats of the study's folder, for finished jobs alone:
``config.yaml``, ``metrics.json``, ``status.json``, ``history.tsv`` (rounded), ``per_query.*.tsv`` (in full), and with
``runs`` the re-ranked runs; ``table.yaml``, ``grid.json`` and the overrides of ``multirun.yaml``. No model, no texts,
no absolute path (``local_paths``), no setting of where cache and outputs were. ``archive.json`` has its version, the
study's folder and the jobs that were left out. The same study gives the same bytes.
"""

import json
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from experiments.common.disk import replacing
from experiments.common.errors import ExperimentError
from experiments.common.manifest import FILES, SEAL
from experiments.job_files.checked_results import read_config, read_launch, read_metrics, read_status
from experiments.job_files.files import CONFIG, GRID, METRICS, STATUS, TABLE, read_json, read_mapping, read_text
from experiments.job_files.history import FILE as HISTORY
from experiments.job_files.history import read_history, rounded_history
from experiments.job_files.local_paths import without_local_paths
from experiments.job_files.per_query import read_per_query
from experiments.job_files.status import DONE, job_folders, last_launch, status_of

SUFFIX = ".zip"
MANIFEST = "archive.json"
MULTIRUN = "multirun.yaml"  # Hydra's record of the last launch
VERSION = 1
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a zip file can name
INCIDENTAL = {"cache": ".cache", "outputs": "outputs"}  # keys of a config that decide no result: their defaults
PER_QUERY, RUNS = "per_query.*.tsv", "run.*.trec.gz"
NAME = re.compile(r"(?!\.)[^/\\:\0]+(?:/(?!\.)[^/\\:\0]+)?")  # a file of the study or of a job: no way out of a folder
MOST_BYTES = 2**31  # of the files of an archive, together

_unpacked: dict[tuple[str, int, int], tuple[Path, Path, "tempfile.TemporaryDirectory[str]"]] = {}


@dataclass(frozen=True)
class Kept:
    """An archive that was written. ``left_out``: job -> its state."""

    path: Path
    jobs: tuple[str, ...]
    left_out: Mapping[str, str]

    @property
    def bytes(self) -> int:
        """The size of the file."""
        return self.path.stat().st_size


def keep_study(study: Path, to: Path, runs: bool = False) -> Kept:
    """Write the archive of a study into the folder ``to``. ``runs``: with the re-ranked runs.

    Raises:
        ExperimentError: there is no such study, no job has finished, or a file of a finished job cannot be read.
    """
    folders = job_folders(study)
    states = {folder: status_of(folder).state for folder in folders}
    done = [folder for folder in folders if states[folder] == DONE]
    left_out = {folder.name: states[folder] for folder in folders if folder not in done}
    if not done:
        raise ExperimentError(f"no job in {study} has finished: there is nothing to keep")
    files = dict(_study_files(study, [folder.name for folder in done]))
    for folder in done:
        files |= {f"{folder.name}/{name}": content for name, content in _job_files(folder, runs)}
    files[MANIFEST] = _json({"version": VERSION, "folder": study.as_posix(), "left_out": left_out})
    path = to / f"{study.resolve().name}{SUFFIX}"
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
            archive.writestr(entry, files[name], compresslevel=9)
    return Kept(path, tuple(folder.name for folder in done), left_out)


def _study_files(study: Path, done: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    if (study / TABLE).is_file():
        yield TABLE, _yaml(read_mapping(study / TABLE))
    if launched := [name for name in last_launch(study) if name in done]:
        yield GRID, _json(launched)
    if (study / MULTIRUN).is_file():
        yield MULTIRUN, _yaml({"hydra": {"overrides": read_launch(study / MULTIRUN)}})


def _job_files(folder: Path, runs: bool) -> Iterator[tuple[str, bytes]]:
    config = read_config(folder)
    yield CONFIG, _yaml({key: INCIDENTAL.get(key, value) for key, value in config.items()})
    yield METRICS, _json(read_metrics(folder))
    status = read_status(folder)  # whose digests are of files as they are in the folder
    yield STATUS, _json({name: value for name, value in status.items() if name not in (FILES, SEAL)})
    if (folder / HISTORY).is_file():
        yield HISTORY, rounded_history(read_history(folder / HISTORY)).encode()
    for path in sorted(folder.glob(PER_QUERY)):
        read_per_query(path)  # refuse what a report could not read
        yield path.name, read_text(path).encode()
    for path in sorted(folder.glob(RUNS)) if runs else ():
        yield path.name, path.read_bytes()


def _yaml(value: Mapping[str, Any]) -> bytes:
    return yaml.safe_dump(without_local_paths(value, Path.cwd()), sort_keys=False, allow_unicode=True).encode()


def _json(value: Any) -> bytes:
    return (json.dumps(without_local_paths(value, Path.cwd()), indent=1, ensure_ascii=False) + "\n").encode()


def study_folder(place: Path) -> Path:
    """Return the folder of a study, given the folder or an archive; an archive is unpacked until this process ends.

    Raises:
        ExperimentError: the archive is missing, damaged, of an unknown version, or none of a study.
    """
    if place.is_dir() or not (place.is_file() or place.suffix == SUFFIX):
        return place
    if not place.is_file():
        raise ExperimentError(f"there is no file {place}: rerank-ablations study keep writes archives of studies")
    state = place.stat()
    key = (str(place.resolve()), state.st_mtime_ns, state.st_size)
    if key not in _unpacked:
        temporary = tempfile.TemporaryDirectory(prefix="rerank-ablations-")
        folder = Path(temporary.name, place.stem)
        try:
            _unpack(place, folder)
        except BaseException:
            temporary.cleanup()
            raise
        _unpacked[key] = (folder, place, temporary)
    return _unpacked[key][0]


def place_of(folder: Path) -> Path:
    """Return the archive that a folder was unpacked from, as it was named; any other folder itself."""
    return next((place for unpacked, place, _ in _unpacked.values() if unpacked == folder), folder)


def as_given(text: object) -> str:
    """Return a text in which unpacked folders have the names of their archives: ``x.zip/<job>/metrics.json``."""
    said = str(text)
    for folder, place, _ in _unpacked.values():
        said = said.replace(str(folder), str(place))
    return said


def home_of(folder: Path) -> Path:
    """Return the folder in which the study was run, for an unpacked archive; any other folder itself."""
    return folder if place_of(folder) == folder else Path(str(manifest_of(folder).get("folder", folder.name)))


def manifest_of(folder: Path) -> Mapping[str, Any]:
    """Return the manifest of an unpacked archive."""
    return read_mapping(folder / MANIFEST)


def _unpack(place: Path, folder: Path) -> None:
    no_study = f"{place} is no archive of a study: rerank-ablations study keep writes them"
    try:
        with zipfile.ZipFile(place) as archive:
            entries = archive.infolist()
            if MANIFEST not in archive.namelist():
                raise ExperimentError(f"{no_study} (it has no {MANIFEST})")
            if strange := [entry.filename for entry in entries if not NAME.fullmatch(entry.filename)]:
                raise ExperimentError(f"{no_study} (it has a file {strange[0]!r})")
            if sum(entry.file_size for entry in entries) > MOST_BYTES:
                raise ExperimentError(f"{no_study} (its files have more than {MOST_BYTES:,} bytes)")
            for entry in entries:
                path = folder / entry.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(entry))
    except zipfile.BadZipFile as error:
        damaged = f"{place} is damaged or no zip file ({error}): copy it again, or keep the study again"
        raise ExperimentError(damaged) from error
    except (zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ExperimentError(f"{place} is damaged ({error}): copy it again, or keep the study again") from error
    manifest = read_json(folder / MANIFEST)
    version = manifest.get("version") if isinstance(manifest, Mapping) else None
    if version != VERSION:
        raise ExperimentError(
            f"{place} is of version {version} of the archives, and this package reads version {VERSION}: "
            "install the version of the package that wrote it, or a newer one"
        )
