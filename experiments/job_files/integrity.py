"""Say which files of a job were damaged since it wrote them, and which of that matters.

A damaged file is fatal, so that the job runs again, unless nothing wrong can come of it: a missing run, log or model is
named, and the job's results stay.
"""

import fnmatch
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.common.errors import ExperimentError
from experiments.common.manifest import FILES, MANIFEST, QUICK, damages, described
from experiments.common.model_files import EXPORTED, NOT_READ
from experiments.job_files.files import CONFIG, METRICS, STATUS

RESULTS = (CONFIG, METRICS, "per_query.*.tsv")  # without which a job has no results
NOT_REPORTED = (f"{EXPORTED}/*", "run.*", "negatives.*")  # what no report reads
FILES_ARE = (".json", ".yaml", ".tsv", ".gz", ".safetensors", ".txt", ".md", ".log")  # endings of no folder of ours
FOLDERS = ("checkpoints", EXPORTED)


def promised(folder: Path) -> dict[str, Any]:
    """Describe the files of a finished job: all in its folder but logs, and those of its model."""
    files = [path for path in sorted(folder.iterdir()) if path.name not in (STATUS, MANIFEST)]
    files += sorted((folder / EXPORTED).rglob("*"))
    return {
        path.relative_to(folder).as_posix(): described(path)
        for path in files
        if path.is_file() and not path.name.startswith(".") and not NOT_READ.fullmatch(path.name)
    }


def fatal_damages(folder: Path, files: Any, effort: int = QUICK) -> Iterator[tuple[str, str]]:
    """Yield name and problem of each damaged file without which a job is not done. ``files``: as its status notes."""
    for name, problem in damages(folder, files, effort):
        if _is_fatal(folder, name, problem):
            yield name, problem


def problem_of_finished(folder: Path, noted: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Say what is wrong with the files of a finished job, and whether it runs again for that; None if nothing is.

    Each file is read once. A file that is missing though the job's results are whole does not make it run again.
    """
    found = list(damages(folder, noted.get(FILES)))
    for name, problem in found:
        if _is_fatal(folder, name, problem):
            return f"{name} {problem}", True
    lost = [name for name, _ in found]
    lost += [MANIFEST] if FILES in noted and not (folder / MANIFEST).is_file() else []
    others = f" and {len(lost) - 1} others" if len(lost) > 1 else ""
    said = f"{lost[0]}{others} missing, its results are whole; to make them anew, delete its folder" if lost else None
    return said, False


def damaged_config(folder: Path, noted: Mapping[str, Any]) -> str | None:
    """Say that the config of an unfinished job is damaged; None if it is not."""
    problem = next((f"{name} {problem}" for name, problem in damages(folder, noted.get(FILES))), None)
    return None if problem is None else f"{problem}: run the study again, which writes it anew"


def refuse_unreportable(folder: Path, noted: Mapping[str, Any]) -> None:
    """Raise ExperimentError if a file that a report reads was damaged since the job finished."""
    for name, problem in fatal_damages(folder, noted.get(FILES)):
        if not _is_any(name, NOT_REPORTED):
            raise ExperimentError(f"{folder / name} {problem}: run the study again, which runs this job anew")


def refuse_folders(folder: Path) -> None:
    """Raise ExperimentError if a folder has the place of a file that a job writes, or a file that of a folder."""
    for place in (folder, *(folder / name for name in FOLDERS)):
        if place.exists() and not place.is_dir():
            raise ExperimentError(f"{place} is a file, and the job needs a folder there: delete it")
        for path in place.iterdir() if place.is_dir() else ():
            if (path.suffix in FILES_ARE or path.name == ".lock") and path.is_dir():
                raise ExperimentError(f"{path} is a folder, and the job needs a file there: delete it")


def _is_fatal(folder: Path, name: str, problem: str) -> bool:
    return problem != "is missing" or _is_any(name, RESULTS) or _of_a_model_that_is_there(folder, name)


def _is_any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _of_a_model_that_is_there(folder: Path, name: str) -> bool:
    """Whether a model lacks one of its files: without all of them it was deleted on purpose."""
    return name.startswith(f"{EXPORTED}/") and (folder / EXPORTED).exists()
