"""Read text, JSON and YAML strictly: what is damaged, ambiguous or endless is refused in one short line.

Every file of a user, of a job or of a study is read here. A byte order mark is accepted; bytes that are no UTF-8, NUL,
half characters (lone surrogates), a key twice in one object and values nested without end are not.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.common.errors import ExperimentError, one_line, shown

HALF = re.compile(r"[\ud800-\udfff]")  # half of a pair: JSON and YAML can write it, UTF-8 cannot
HALF_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]|\\U0000[dD][89a-fA-F]")
REPLACEMENT = "\ufffd"
DEEPEST = 100  # values within each other
MOST_VALUES = 1_000_000  # of a YAML file, with each alias counted as what it stands for
FLAT = 200  # brackets of a YAML text, or letters of its lines, that cannot be nested too deeply
BLANKS_OF_JSON = " \t\r\n"
TOO_DEEP = f"its values are nested more than {DEEPEST} deep"


class YamlError(ValueError):
    """A YAML text that cannot be used; the message says why, in one line, and not which file it is."""


def decode(path: Path, content: bytes) -> str:
    """Return the text of a file without a byte order mark.

    Raises:
        ExperimentError: it is no UTF-8, or holds NUL; the message names the line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = content.count(b"\n", 0, error.start) + 1, content[error.start]
        raise ExperimentError(f"{path}, line {line}: byte {byte:#04x} is no UTF-8: save it as UTF-8 text") from error
    if "\0" in text:
        raise ExperimentError(f"{path}, line {text[: text.index(chr(0))].count(chr(10)) + 1}: {NUL}")
    return text


NUL = "a NUL byte, which no text file holds: the file is damaged"


def replace_halves(text: str) -> str:
    """Return a text in which each half character is the replacement character, so that it can be written."""
    return HALF.sub(REPLACEMENT, text)


def parse_json(
    text: str, where: str, *, finite: bool = True, halves: bool = False, nested: bool = True, said: str = ": not JSON"
) -> Any:
    """Return the value of a JSON text.

    ``where``: begins the messages. ``finite``: refuse NaN and Infinity, which Python writes and JSON does not have.
    ``halves``: replace half characters instead of refusing them. ``nested``: False does not count how deep values are
    nested, for lines of a long file of which single values are used. ``said``: of a text that is no JSON, after
    ``where``.

    Raises:
        ExperimentError: it is no JSON, names a key twice, is nested too deeply, or holds half a character.
    """
    try:
        value = (_STRICT if finite else _LENIENT).decode(text.strip(BLANKS_OF_JSON))
        if nested and text.count("[") + text.count("{") > DEEPEST and _is_deeper(value, DEEPEST - 1):
            raise RecursionError
    except RecursionError as error:
        raise ExperimentError(f"{where}{said} ({TOO_DEEP})") from error
    except ValueError as error:
        raise ExperimentError(f"{where}{said} ({one_line(str(error))})") from error
    if HALF_ESCAPED.search(text):
        if halves:
            return _replaced(value)
        if (half := _half_in(value)) is not None:
            raise ExperimentError(
                f"{where}: {shown(half)} has half of a character in it (a lone surrogate such as \\ud83d): "
                f"write \\ufffd in its place"
            )
    return value


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML text.

    Raises:
        YamlError: it is no YAML, names a key twice, is nested too deeply, or holds half a character.
    """
    import yaml

    loader = _loader()
    try:
        if _deep(text):
            raise YamlError(TOO_DEEP)
        value = yaml.load(text, loader)
    except yaml.YAMLError as error:
        raise YamlError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise YamlError(TOO_DEEP) from error
    except (
        ValueError,
        TypeError,
        OverflowError,
        AttributeError,
        KeyError,
        IndexError,
    ) as error:  # of a strange number or date
        raise error if isinstance(error, YamlError) else YamlError(one_line(str(error))) from error
    if "*" in text and _values_in(value, {}) > MOST_VALUES:
        raise YamlError(f"its aliases (*name) stand for more than {MOST_VALUES:,} values")
    if HALF_ESCAPED.search(text) and (half := _half_in(value)) is not None:
        raise YamlError(f"{shown(half)} has half of a character in it (a lone surrogate)")
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise ValueError(f"the key {shown(twice)} twice in one object")
    return value


_STRICT = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_unrepeated)
_LENIENT = json.JSONDecoder(object_pairs_hook=_unrepeated)
_loaders: dict[str, Any] = {}


def _loader() -> Any:
    """Return YAML's safe loader, which refuses a key twice; in C where it can be, which is ten times as fast."""
    import yaml

    if not _loaders:
        base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

        class Strict(base):  # type: ignore[misc]
            def construct_mapping(self, node: Any, deep: bool = False) -> Any:
                keys = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
                if len(set(keys)) < len(keys):
                    twice = next(key for i, key in enumerate(keys) if key in keys[:i])
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {shown(twice[1])} twice in one mapping", node.start_mark
                    )
                return super().construct_mapping(node, deep)

        _loaders["strict"] = Strict
    return _loaders["strict"]


def _deep(text: str) -> bool:
    """Return whether a YAML text is nested too deeply: the C parser would overrun its stack."""
    brackets = text.count("[") + text.count("{")
    if brackets < FLAT and max(map(len, text.split("\n"))) < FLAT:
        return False
    import yaml

    depth = 0
    for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            return True
    return False


def _is_deeper(value: Any, levels: int) -> bool:
    """Return whether values are nested in more levels."""
    return any(levels == 0 or _is_deeper(each, levels - 1) for each in _inner(value) if isinstance(each, dict | list))


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [each for pair in value.items() for each in pair]
    return value if isinstance(value, list | tuple | set) else ()


def _values_in(value: Any, known: dict[int, int]) -> int:
    """Count the values within a value; one that occurs several times counts each time."""
    if known.get(id(value)) == 0:
        raise YamlError("an alias (*name) stands for a value that it is in itself")
    if id(value) not in known:
        known[id(value)] = 0  # not yet counted
        known[id(value)] = 1 + sum(_values_in(each, known) for each in _inner(value))
    return known[id(value)]


def texts_in(value: Any) -> Iterator[str]:
    """Yield all texts within a value, keys too."""
    if isinstance(value, str):
        yield value
    for each in _inner(value):
        yield from texts_in(each)


def _half_in(value: Any) -> str | None:
    """Return the first text with half of a character."""
    return next((text for text in texts_in(value) if HALF.search(text)), None)


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return replace_halves(value)
    if isinstance(value, dict):
        return {_replaced(key): _replaced(each) for key, each in value.items()}
    return [_replaced(each) for each in value] if isinstance(value, list) else value
