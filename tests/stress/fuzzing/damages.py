"""Damage the bytes of a text file, and values of JSON and YAML."""

import copy
import json
import random
import re
from collections.abc import Callable
from typing import Any

Damage = Callable[[random.Random, bytes], bytes]

BOM = b"\xef\xbb\xbf"
LONG = 1_000_000  # letters of a huge line
DEEP = 100_000  # brackets within each other
NUMBERS = (
    "nan", "NaN", "inf", "-inf", "Infinity", "-1", "0", "1e400", "-1e39", "3.4028236e38", "2147483648", "4294967296",
    "9223372036854775808", "1" + "0" * 40, "9" * 5000, "1_000", "0x10", "1,5", "", "None", "true", "\uff11\uff12",
    "1.5.2", "--3",
)  # fmt: skip
WORDS = (
    "",
    " ",
    "\t",
    "\x00",
    "\x7f",
    "\r",
    "\u2028",
    "\u0085",
    "\\",
    '"',
    "'",
    "#",
    "%20",
    "\ufeff",
    "a" * 5000,
    "[",
    "{",
)
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**31, 2**32, 2**63, 2**64, 10**40, 1.5, float("nan"), float("inf"), -float("inf"), 1e308, "",
    " ", "x", "a\nb", "\x00", "\ud800", "é\udc00", "a" * 100_000, "nan", [], {}, [[]], {"a": 1}, [None], ["\ud83d"],
    "../../x", "1", [1, "1"], {"": None}, "2020-01-01",
)  # fmt: skip


def _at(rng: random.Random, content: bytes) -> int:
    return rng.randrange(len(content) + 1)


def _spliced(new: bytes) -> Damage:
    def put(rng: random.Random, content: bytes) -> bytes:
        at = _at(rng, content)
        return content[:at] + new + content[at:]

    return put


def _flipped_bit(rng: random.Random, content: bytes) -> bytes:
    if not content:
        return content
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def _other_byte(rng: random.Random, content: bytes) -> bytes:
    at = rng.randrange(max(1, len(content)))
    return content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]


def _by_lines(change: Callable[[random.Random, list[bytes]], None]) -> Damage:
    def changed(rng: random.Random, content: bytes) -> bytes:
        rows = content.split(b"\n")
        change(rng, rows)
        return b"\n".join(rows)

    return changed


def _repeat_a_line(rng: random.Random, rows: list[bytes]) -> None:
    rows.insert(rng.randrange(len(rows)), rng.choice(rows))


def _drop_a_line(rng: random.Random, rows: list[bytes]) -> None:
    rows.pop(rng.randrange(len(rows)))


def _swap_lines(rng: random.Random, rows: list[bytes]) -> None:
    rng.shuffle(rows)


def _blank_lines(rng: random.Random, rows: list[bytes]) -> None:
    rows.insert(rng.randrange(len(rows)), rng.choice([b"", b"  ", b"\t", b"\r"]))


def _fields(rng: random.Random, rows: list[bytes]) -> None:
    """Add, drop, swap or replace a field of a line."""
    at = rng.randrange(len(rows))
    parts = re.split(rb"([\t ])", rows[at])
    place = rng.randrange(len(parts))
    kind = rng.randrange(4)
    if kind == 0:
        parts[place : place + 1] = [parts[place], b"\t", b"more"]
    elif kind == 1:
        parts[place : place + 2] = []
    elif kind == 2:
        parts[place] = parts[rng.randrange(len(parts))]
    else:
        parts[place] = rng.choice((*NUMBERS, *WORDS)).encode()
    rows[at] = b"".join(parts)


def _number(rng: random.Random, content: bytes) -> bytes:
    """Replace a number."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content))
    if not found:
        return content
    number = rng.choice(found)
    return content[: number.start()] + rng.choice(NUMBERS).encode() + content[number.end() :]


def _huge_line(rng: random.Random, content: bytes) -> bytes:
    rows = content.split(b"\n")
    at = rng.randrange(len(rows))
    rows[at] += rng.choice([b"x", b"x ", b"\t", b"7", b"["]) * LONG
    return b"\n".join(rows)


def _deep(rng: random.Random, content: bytes) -> bytes:
    rows = content.split(b"\n")
    opened = rng.choice([b"[", b'{"a":', b"- ", b"{a: "])
    rows[rng.randrange(len(rows))] = opened * DEEP + rng.choice([b"", b"1" + b"]" * DEEP])
    return b"\n".join(rows)


HARMLESS: dict[str, Damage] = {
    "nothing": lambda rng, content: content,
    "byte order mark": lambda rng, content: BOM + content,
    "CRLF": lambda rng, content: content.replace(b"\n", b"\r\n"),
    "no line end at the end": lambda rng, content: content.rstrip(b"\n"),
}
HARMFUL: dict[str, Damage] = {
    "empty": lambda rng, content: b"",
    "cut": lambda rng, content: content[: _at(rng, content)],
    "flipped bit": _flipped_bit,
    "other byte": _other_byte,
    "byte that is no UTF-8": lambda rng, content: _spliced(
        rng.choice([b"\xff", b"\xc3", b"\x80", b"\xf5\x80\x80\x80"])
    )(rng, content),
    "lone surrogate in bytes": _spliced(b"\xed\xa0\x80"),
    "lone surrogate as an escape": _spliced(rb"\ud800"),
    "NUL": _spliced(b"\0"),
    "NUL at the end": lambda rng, content: content + b"\0" * rng.choice([1, 512]),
    "UTF-16": lambda rng, content: content.decode().encode("utf-16"),
    "control character": lambda rng, content: _spliced(bytes([rng.randrange(1, 32)]))(rng, content),
    "other line end": lambda rng, content: _spliced(
        rng.choice(["\r", "\u2028", "\u0085", "\x0b", "\x0c", "\x1c"]).encode()
    )(rng, content),
    "two byte order marks": lambda rng, content: BOM + BOM + content,
    "byte order mark inside": _spliced(BOM),
    "repeated line": _by_lines(_repeat_a_line),
    "missing line": _by_lines(_drop_a_line),
    "lines in another order": _by_lines(_swap_lines),
    "blank line": _by_lines(_blank_lines),
    "fields": _by_lines(_fields),
    "number": _number,
    "huge line": _huge_line,
    "deep": _deep,
    "twice": lambda rng, content: content + content,
    "quotation": lambda rng, content: _spliced(
        rng.choice([b'"', b"'", b"\\", b"{", b"}", b":", b"&a ", b"*a ", b"!!int "])
    )(rng, content),
}
OF_BYTES = ("empty", "cut", "flipped bit", "other byte", "byte that is no UTF-8", "NUL", "missing line")


def damaged(rng: random.Random, content: bytes) -> tuple[str, bytes]:
    """Return the name of a damage and the damaged bytes. A damage that changes nothing is called ``nothing``."""
    return _done(rng, content, rng.choice([*HARMLESS, *HARMFUL, *HARMFUL, *HARMFUL]))


def damaged_bytes(rng: random.Random, content: bytes) -> tuple[str, bytes]:
    """Damage a file that is no text, such as a packed one."""
    return _done(rng, content, rng.choice(OF_BYTES))


def _done(rng: random.Random, content: bytes, name: str) -> tuple[str, bytes]:
    made = {**HARMLESS, **HARMFUL}[name](rng, content)
    return (name, made) if made != content else ("nothing", made)


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value within a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return (
        [path, *(place for key, each in inner for place in places_in(each, (*path, key)))]
        if path
        else [place for key, each in inner for place in places_in(each, (key,))]
    )


def with_another_value(rng: random.Random, value: Any) -> tuple[str, Any]:
    """Return what was done, and a copy of a value in which one place is missing, renamed or has another value."""
    changed = copy.deepcopy(value)
    path = rng.choice(places_in(changed))
    owner = changed
    for key in path[:-1]:
        owner = owner[key]
    name = ".".join(map(str, path))
    kind = rng.randrange(8)
    if kind == 0:
        del owner[path[-1]]
        return f"{name} is missing", changed
    if kind == 1 and isinstance(owner, dict):
        owner[f"{path[-1]}x"] = owner.pop(path[-1])
        return f"{name} has another name", changed
    owner[path[-1]] = rng.choice(VALUES)
    return f"{name} is {str(owner[path[-1]])[:40]!r}", changed


def as_json(value: Any) -> bytes:
    """Return JSON with escapes for what UTF-8 cannot write, and with NaN and Infinity as words."""
    return json.dumps(value).encode()
