"""Text files line by line, plain or gzipped, with errors that name the file and the line."""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.errors import ExperimentError


def find(folder: Path, *names: str) -> Path:
    """The first of some files that is there, plain or with ``.gz``.

    Raises:
        ExperimentError: none of them is there.
    """
    found = find_optional(folder, *names)
    if found is None:
        tried = " or ".join(names)
        raise ExperimentError(f"there is no {tried} (plain or .gz) in {folder}: check data.path")
    return found


def find_optional(folder: Path, *names: str) -> Path | None:
    """The first of some files that is there, plain or with ``.gz``; None if none is."""
    return next((path for name in names for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end) of every line that is not blank.

    Raises:
        ExperimentError: the file cannot be read as UTF-8 or is broken gzip.
    """
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except (UnicodeDecodeError, EOFError, OSError, zlib.error) as error:
        raise ExperimentError(f"{path}, after line {number}: cannot be read ({error})") from error


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of a file with one JSON object a line."""
    for number, line in lines(path):
        try:
            value = json.loads(line)
        except ValueError as error:
            raise ExperimentError(f"{path}, line {number}: not JSON ({error})") from error
        if not isinstance(value, dict):
            raise ExperimentError(f"{path}, line {number}: a JSON object is expected, not {type(value).__name__}")
        yield number, value


def columns(path: Path, count: int) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of a file with ``count`` tab-separated fields a line; the last field may hold tabs."""
    for number, line in lines(path):
        fields = line.split("\t", count - 1)
        if len(fields) != count:
            raise ExperimentError(
                f"{path}, line {number}: {count} fields separated by tabs are expected, {len(fields)} found"
            )
        yield number, fields


def qrels(path: Path) -> Iterator[tuple[str, str, int]]:
    """(query id, passage id, grade) from TREC qrels (query, iteration, passage, grade) or BEIR's TSV (query, passage,
    grade; a header).

    Raises:
        ExperimentError: a line has neither 3 nor 4 fields, or its grade is not a whole number.
    """
    for number, line in lines(path):
        fields = line.split()
        if number == 1 and fields[:2] == ["query-id", "corpus-id"]:
            continue
        if len(fields) not in (3, 4):
            raise ExperimentError(
                f"{path}, line {number}: 'query 0 passage grade' or 'query passage grade' is expected, not {line!r}"
            )
        try:
            grade = int(fields[-1])
        except ValueError as error:
            raise ExperimentError(f"{path}, line {number}: the grade {fields[-1]!r} is not a whole number") from error
        yield fields[0], fields[-2], grade


def file_states(paths: Mapping[str, Path]) -> dict[str, list[int]]:
    """Size and time of change (nanoseconds) of some files: cheap, and other as soon as a file is written anew."""
    return {role: [(state := path.stat()).st_size, state.st_mtime_ns] for role, path in paths.items()}
