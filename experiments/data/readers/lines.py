"""Text files line by line, plain or gzipped, with errors that name the file and the line."""

import gzip
import json
import logging
import re
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from experiments.common.cache import content_digest
from experiments.common.errors import ExperimentError
from experiments.data.ids import fields

log = logging.getLogger(__name__)

GRADE = re.compile(r"[+-]?[0-9]{1,99}(\.0*)?")  # some files of BEIR have 1.0
INT32 = 2**31
# The words of header lines. A first line is one if all of its fields are such words, which no data can be mistaken for.
ID_HEADS = {"id", "_id", "pid", "qid", "did", "docid", "docno"} | {
    f"{what}{sign}id" for what in ("query", "corpus", "doc", "passage") for sign in ("-", "_")
}
TEXT_HEADS = {"text", "passage", "query", "document", "doc", "body", "content", "contents", "question", "title"}
GRADE_HEADS = {"score", "grade", "relevance", "rel", "label", "judgment", "judgement"}


def find(folder: Path, *names: str, key: str = "data.path") -> Path:
    """The first of some files that is there, plain or with ``.gz``. ``key``: what a message says is to be checked.

    Raises:
        ExperimentError: none of them is there.
    """
    found = find_optional(folder, *names)
    if found is None:
        tried = " or ".join(names)
        raise ExperimentError(f"there is no {tried} (plain or .gz) in {folder}: check {key}")
    return found


def find_optional(folder: Path, *names: str) -> Path | None:
    """The first of some files that is there, plain or with ``.gz``; None if none is."""
    return next((path for name in names for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end) of every line that is not blank; a byte order mark is left out.

    Raises:
        ExperimentError: the file cannot be read as UTF-8 or is broken gzip.
    """
    number = 0
    try:
        with (  # a lone carriage return is part of a text
            gzip.open(path, "rt", encoding="utf-8-sig", newline="\n")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig", newline="\n")
        ) as file:
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
    """(line number, fields) of a file with ``count`` tab-separated fields a line; the last field may hold tabs.

    A first line such as ``pid TAB passage`` is a header and left out.
    """
    first = True
    for number, line in lines(path):
        found = line.split("\t", count - 1)
        if len(found) != count:
            raise ExperimentError(
                f"{path}, line {number}: {count} fields separated by tabs are expected, {len(found)} found"
            )
        if first and _is_header(found):
            log.info("%s, line %s: %r is taken for a header", path, number, line)
        else:
            yield number, found
        first = False


def _is_header(found: list[str]) -> bool:
    *ids, text = (field.strip().lower() for field in found)
    return text in TEXT_HEADS and ID_HEADS.issuperset(ids)


def qrels(path: Path) -> Iterator[tuple[str, str, int]]:
    """(query id, passage id, grade) from TREC qrels (query, iteration, passage, grade) or BEIR's TSV (query, passage,
    grade).

    A line with tabs is split at them, so that ids may hold blanks. Left out are a header, which is a first line whose
    grade is a word such as ``score``, and comments: lines that begin with # and are no judgement.

    Raises:
        ExperimentError: a line has neither 3 nor 4 fields, or its grade is not a whole number of 32 bits.
    """
    first = True
    for number, line in lines(path):
        query, passage, grade = _judgement(line)
        value = _whole(grade)
        if value is None or query == "#":
            if line.lstrip().startswith("#"):
                continue
            if not (first and grade.lower() in GRADE_HEADS):
                raise ExperimentError(f"{path}, line {number}: {_no_judgement(line, grade)}")
        elif not -INT32 <= value < INT32:
            raise ExperimentError(f"{path}, line {number}: the grade {grade} does not fit into 32 bits")
        else:
            yield query, passage, value
        first = False


@lru_cache(maxsize=1024)
def _whole(grade: str) -> int | None:
    """A grade as a whole number, or None if it is none."""
    return int(grade.partition(".")[0]) if GRADE.fullmatch(grade) else None


def _judgement(line: str) -> tuple[str, str, str]:
    """Query id, passage id and grade; the grade is empty where the line is none of both formats."""
    found = line.rstrip().split("\t") if "\t" in line else fields(line)
    if len(found) not in (3, 4):
        found = fields(line)
    query, passage, grade = (
        (found[0].strip(), found[-2].strip(), found[-1].strip()) if len(found) in (3, 4) else ("",) * 3
    )
    return query, passage, grade if query and passage else ""


def _no_judgement(line: str, grade: str) -> str:
    if grade:
        return f"the grade {grade!r} is not a whole number"
    return (
        f"'query 0 passage grade' or 'query passage grade' is expected, not {line!r}; where ids have blanks, separate "
        f"the fields by tabs"
    )


def file_contents(paths: Mapping[str, Path]) -> dict[str, str]:
    """The digest of the content of each file: the same wherever it is, another as soon as it is edited."""
    return {role: content_digest(path) for role, path in paths.items()}
