"""Read the formats of collections, runs, scores and negatives plainly and strictly, to check the readers against.

Each oracle takes the bytes of a file and returns its values, ``None`` if the file is malformed, or ``UNSURE`` where the
reader has rules that are not repeated here (comments, headers).
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

UNSURE = "unsure"
BLANKS = re.compile(r"[^ \t\r\n\f\v]+")
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
GRADE = re.compile(r"[+-]?[0-9]{1,99}(\.0*)?")
UNUSABLE = re.compile(r"^$|[\x00-\x1f\x7f-\x9f]|^\s|\s$")
MOST_RANKS = 2**24


class MalformedError(Exception):
    """The file is malformed."""


def truth_of(parse: Callable[[bytes], Any], content: bytes) -> Any:
    """Return what ``parse`` reads; None for a malformed file."""
    try:
        return parse(content)
    except (MalformedError, ValueError, RecursionError):
        return None


def rows(content: bytes, every_byte: bool = True) -> Iterator[str]:
    """Yield the lines that are not blank. ``every_byte``: False leaves bytes that are no text."""
    text = content.decode("utf-8", "strict" if every_byte else "surrogateescape").removeprefix("\ufeff")
    if every_byte and "\0" in text:
        raise MalformedError
    for line in text.split("\n"):
        if line.strip():
            yield line.rstrip("\r")


def plain_rows(content: bytes, every_byte: bool = True) -> list[str]:
    """Return the lines; raises Unsure for a file with comments."""
    found = list(rows(content, every_byte))
    if any(line.lstrip().startswith("#") for line in found):
        raise UnsureError
    return found


class UnsureError(Exception):
    """The reader's own rules decide."""


def objects(content: bytes) -> Iterator[Any]:
    """Yield the JSON value of each line."""
    for line in rows(content):
        value = json.loads(line, parse_constant=_refused, object_pairs_hook=_unrepeated)
        json.dumps(value, ensure_ascii=False).encode()  # no half characters
        yield value


def _refused(constant: str) -> Any:
    raise MalformedError(constant)


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise MalformedError("a key twice")
    return dict(pairs)


def texts_of_jsonl(content: bytes, title: bool) -> list[tuple[str, str]]:
    """Return ids and texts of BEIR's corpus or queries."""
    found = []
    for value in objects(content):
        if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in ("_id", "text")):
            raise MalformedError
        name = value.get("title") or ""
        if not isinstance(name, str):
            raise MalformedError
        found.append((value["_id"], f"{name} {value['text']}" if title and name else value["text"]))
    return _checked(found)


def texts_of_tsv(content: bytes) -> list[tuple[str, str]]:
    """Return ids and texts of MS MARCO's collection or queries."""
    found = [tuple(line.split("\t", 1)) for line in rows(content)]
    if any(len(row) != 2 for row in found):
        raise MalformedError
    if found and found[0][0].strip().lower() in ("id", "pid", "qid"):
        raise UnsureError
    return _checked(found)


def _checked(found: list[Any]) -> list[tuple[str, str]]:
    ids = [name for name, _ in found]
    if not found or len(set(ids)) < len(ids) or any(UNUSABLE.search(name) for name in ids):
        raise MalformedError
    return found


def qrels(content: bytes) -> list[tuple[str, str, int]]:
    """Return query, passage and grade of each judgement."""
    found = []
    for number, line in enumerate(plain_rows(content)):
        parts = line.rstrip().split("\t") if "\t" in line else BLANKS.findall(line)
        parts = parts if len(parts) in (3, 4) else BLANKS.findall(line)
        if len(parts) not in (3, 4):
            raise MalformedError
        query, passage, grade = parts[0].strip(), parts[-2].strip(), parts[-1].strip()
        if number == 0 and grade.lower() in ("score", "grade", "rel"):
            continue
        if not query or not passage or not GRADE.fullmatch(grade):
            raise MalformedError
        value = int(grade.partition(".")[0])
        if not -(2**31) <= value < 2**31:
            raise MalformedError
        found.append((query, passage, value))
    if len({row[:2] for row in found}) < len(found) or not found:
        raise MalformedError
    return sorted(found)


def number(text: str) -> float:
    """Return a decimal number that float32 can hold."""
    if not DECIMAL.fullmatch(text):
        raise MalformedError
    value = float(np.float32(float(text)))
    if not math.isfinite(value):
        raise MalformedError
    return value


def ranking(scored: list[tuple[str, str, float]]) -> dict[str, list[tuple[str, float]]]:
    """Return passages and scores of each query, best first, equal ones by descending id."""
    if len({row[:2] for row in scored}) < len(scored) or not scored:
        raise MalformedError
    found: dict[str, list[tuple[str, float]]] = {}
    for query, passage, score in scored:
        if _no_id(query) or _no_id(passage):
            raise MalformedError
        found.setdefault(query, []).append((passage, score))
    return {q: sorted(own, key=lambda row: (row[1], row[0].encode()), reverse=True) for q, own in found.items()}


def _no_id(text: str) -> bool:
    return bool(re.search(r"^$|[\x00-\x1f\x7f-\x9f\ud800-\udfff]", text))


def run(content: bytes, layout: str) -> dict[str, list[tuple[str, float]]]:
    """Return a run in one of the formats trec, scores, msmarco."""
    scored = []
    for line in plain_rows(content, every_byte=False):
        tabs = [part.strip() for part in line.split("\t")]
        parts = BLANKS.findall(line)
        if layout == "trec":
            if len(tabs) == 6:
                parts = tabs
            elif len(parts) > 6:
                if not (parts[1].upper() in ("Q0", "0") and parts[3].isdecimal() and DECIMAL.fullmatch(parts[4])):
                    raise MalformedError
                if re.match(r"([^ \t]*[ \t]+){,4}[^ \t]*[\f\v]", line.lstrip()):
                    raise MalformedError
                parts = [*parts[:5], " ".join(parts[5:])]
            if len(parts) != 6 or not all(parts):
                raise MalformedError
            scored.append((parts[0], parts[2], number(parts[4])))
        elif layout == "scores":
            parts = tabs if len(tabs) == 3 else parts
            if len(parts) != 3 or not all(parts):
                raise MalformedError
            scored.append((parts[0], parts[1], number(parts[2])))
        else:
            if len(tabs) not in (3, 4) or not all(tabs) or not re.fullmatch("[0-9]+", tabs[2]):
                raise MalformedError
            if int(tabs[2]) > MOST_RANKS:
                raise MalformedError
            if len(tabs) == 4:
                number(tabs[3])
            scored.append((tabs[0], tabs[1], -float(tabs[2])))
    return ranking(scored)


def scored_jsonl(content: bytes) -> list[tuple[str, str, float]]:
    """Return the pairs of JSON lines with query_id, passage_id and score."""
    found = []
    for value in objects(content):
        if not isinstance(value, dict):
            raise MalformedError
        if set(value) != {"query_id", "passage_id", "score"}:
            raise UnsureError
        found.append((_id(value["query_id"]), _id(value["passage_id"]), _score(value["score"])))
    return _some(found)


def hard_negatives(content: bytes) -> list[tuple[str, str, float]]:
    """Return the pairs of sentence-transformers' hard negatives with scores."""
    found = []
    for value in objects(content):
        if not isinstance(value, dict):
            raise MalformedError
        if not {"qid", "pos", "neg"} <= set(value) or not isinstance(value["neg"], dict):
            raise UnsureError
        for passages in (value["pos"], *value["neg"].values()):
            if not isinstance(passages, list):
                raise MalformedError
            for passage in passages:
                if not isinstance(passage, dict) or not {"pid", "ce-score"} <= set(passage):
                    raise MalformedError
                found.append((_id(value["qid"]), _id(passage["pid"]), _score(passage["ce-score"])))
    return _some(found)


def colbert(content: bytes) -> list[tuple[str, str, float]]:
    """Return the pairs of ColBERT's examples with scores."""
    found = []
    for value in objects(content):
        if not isinstance(value, list) or len(value) < 2:
            raise MalformedError
        for pair in value[1:]:
            if not isinstance(pair, list) or len(pair) != 2:
                raise MalformedError
            found.append((_id(value[0]), _id(pair[0]), _score(pair[1])))
    return _some(found)


def hofstaetter(content: bytes) -> list[tuple[str, str, float]]:
    """Return the pairs of lines of two scores and three ids."""
    found = []
    for line in plain_rows(content):
        parts = [part.strip() for part in line.split("\t")] if "\t" in line else BLANKS.findall(line)
        if len(parts) != 5 or not all(parts):
            raise MalformedError
        found += [(parts[2], parts[3], number(parts[0])), (parts[2], parts[4], number(parts[1]))]
    if any(_no_id(name) for row in found for name in row[:2]):
        raise MalformedError
    return _some(found)


def _some(found: list[Any]) -> list[Any]:
    if not found:
        raise MalformedError
    return sorted(found)


def _id(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or _no_id(str(value)):
        raise MalformedError
    return str(value)


def _score(value: Any) -> float:
    if isinstance(value, str):
        return number(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedError
    try:
        score = float(np.float32(float(value)))
    except OverflowError as error:
        raise MalformedError from error
    if not math.isfinite(score):
        raise MalformedError
    return score


def triples(content: bytes) -> list[tuple[str, list[str]]]:
    """Return the negatives of each query of triples of ids, in the order of the file."""
    found: dict[str, dict[str, None]] = {}
    for line in rows(content):
        parts = [part.strip() for part in line.split("\t")] if "\t" in line else BLANKS.findall(line)
        if len(parts) != 3 or any(map(_no_id, parts)):
            raise MalformedError
        found.setdefault(parts[0], {}).setdefault(parts[2], None)
    return _listed(found)


def negatives_by_system(content: bytes) -> list[tuple[str, list[str]]]:
    """Return the negatives of each query of sentence-transformers' hard negatives of one system."""
    found: dict[str, dict[str, None]] = {}
    for value in objects(content):
        if not isinstance(value, dict):
            raise MalformedError
        if set(value) != {"qid", "pos", "neg"}:
            raise UnsureError
        if not isinstance(value["neg"], dict):
            raise UnsureError
        lists = list(value["neg"].values())
        if len(lists) != 1 or not isinstance(lists[0], list):
            raise UnsureError
        found.setdefault(_id(value["qid"]), {}).update(dict.fromkeys(map(_id, lists[0])))
    return _listed(found)


def _listed(found: dict[str, dict[str, None]]) -> list[tuple[str, list[str]]]:
    if not found:
        raise MalformedError
    return sorted((query, list(own)) for query, own in found.items())
