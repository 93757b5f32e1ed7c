"""Read text files line by line, plain or gzipped, with errors that name the file and the line."""

import gzip
import logging
import re
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from experiments.common.cache import content_digest
from experiments.common.errors import ExperimentError, one_line, shown
from experiments.common.strict_text import NUL, parse_json
from experiments.data.ids import fields

log = logging.getLogger(__name__)

GRADE = re.compile(r"[+-]?[0-9]{1,99}(\.0*)?")  # some files of BEIR have 1.0
INT32 = 2**31
# Words of header lines: a first line is a header if all of its fields are such words.
ID_HEADS = {"id", "_id", "pid", "qid", "did", "docid", "docno"} | {
    f"{kind}{sign}id" for kind in ("query", "corpus", "doc", "passage") for sign in ("-", "_")
}
TEXT_HEADS = {"text", "passage", "query", "document", "doc", "body", "content", "contents", "question", "title"}
GRADE_HEADS = {"score", "grade", "relevance", "rel", "label", "judgment", "judgement"}


def find(folder: Path, *names: str, key: str = "data.path") -> Path:
    """Return the first existing file, plain or with ``.gz``. ``key``: setting to check, for the message.

    Raises:
        ExperimentError: none exists.
    """
    path = find_optional(folder, *names)
    if path is None:
        raise ExperimentError(f"there is no {' or '.join(names)} (plain or .gz) in {folder}: check {key}")
    return path


def find_optional(folder: Path, *names: str) -> Path | None:
    """Return the first existing file, plain or with ``.gz``, or None."""
    return next((path for name in names for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) of every line that is not blank, without a byte order mark.

    Raises:
        ExperimentError: the file cannot be read as UTF-8, holds NUL, or is broken gzip.
    """
    number = 0
    try:
        # newline: a lone carriage return is part of a text
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if "\0" in line:
                    raise ExperimentError(f"{path}, line {number}: {NUL}")
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except (UnicodeDecodeError, EOFError, OSError, zlib.error) as error:
        raise ExperimentError(f"{path}, after line {number}: cannot be read ({one_line(str(error))})") from error


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a file with one JSON object a line."""
    for number, line in lines(path):
        value = parse_json(line, f"{path}, line {number}", nested=False)
        if not isinstance(value, dict):
            raise ExperimentError(f"{path}, line {number}: a JSON object is expected, not {type(value).__name__}")
        yield number, value


def columns(path: Path, count: int) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of a file with ``count`` tab-separated fields a line; the last field may hold tabs.

    A header such as ``pid TAB passage`` in the first line is left out.
    """
    first = True
    for number, line in lines(path):
        row = line.split("\t", count - 1)
        if len(row) != count:
            raise ExperimentError(f"{path}, line {number}: {count} tab-separated fields are expected, {len(row)} found")
        *ids, text = (field.strip().lower() for field in row)
        if first and text in TEXT_HEADS and ID_HEADS.issuperset(ids):
            log.info("%s, line %s: %s is taken for a header", path, number, shown(line))
        else:
            yield number, row
        first = False


def qrels(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield (query id, passage id, grade) of TREC qrels (query, iteration, passage, grade) or BEIR's without iteration.

    Tabs separate the fields of a line that has tabs, so that ids may hold blanks. Left out are a header (a first line
    whose grade is a word such as ``score``) and comments (lines that begin with # and are no judgement).

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
            if not grade:
                raise ExperimentError(
                    f"{path}, line {number}: 'query 0 passage grade' or 'query passage grade' is expected, not "
                    f"{shown(line)}; separate fields by tabs if ids have blanks"
                )
            if not (first and grade.lower() in GRADE_HEADS):
                raise ExperimentError(f"{path}, line {number}: the grade {shown(grade)} is not a whole number")
        elif not -INT32 <= value < INT32:
            raise ExperimentError(f"{path}, line {number}: the grade {shown(grade)[1:-1]} does not fit into 32 bits")
        else:
            yield query, passage, value
        first = False


@lru_cache(maxsize=1024)
def _whole(grade: str) -> int | None:
    """Return a grade as a whole number, or None."""
    return int(grade.partition(".")[0]) if GRADE.fullmatch(grade) else None


def _judgement(line: str) -> tuple[str, str, str]:
    """Return query id, passage id and grade; an empty grade if the line fits neither format."""
    row = line.rstrip().split("\t") if "\t" in line else fields(line)
    if len(row) not in (3, 4):
        row = fields(line)
    if len(row) not in (3, 4):
        return "", "", ""
    query, passage, grade = row[0].strip(), row[-2].strip(), row[-1].strip()
    return query, passage, grade if query and passage else ""


def file_contents(paths: Mapping[str, Path]) -> dict[str, str]:
    """Hash the content of each file."""
    return {role: content_digest(path) for role, path in paths.items()}
