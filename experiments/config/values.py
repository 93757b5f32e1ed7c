"""Check every value of a config, whatever its key: numbers that can be computed with, texts that files can hold."""

import math
import re
from collections.abc import Mapping
from typing import Any

from experiments.common.errors import ExperimentError, shown

LARGEST = 2**63  # of a whole number; YAML, JSON and arrays hold those below it
LONGEST = 4096  # letters of a text, as of a path
DEEPEST = 50  # values within each other
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
OF_READERS = ("table", "run_files.fields", "logger.notes")  # whose texts are prose, of several lines
NAME = re.compile(r"\S(?:.{0,198}\S)?")
FOLDER = re.compile(r"(?!\.{1,2}$)[^\s/\\](?:[^/\\]{0,98}[^\s/\\])?")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,99}")
REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}")
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
PART_BYTES = 255  # of a part of a path


def check_values(settings: Mapping[str, Any]) -> None:
    """Check all values of a config.

    Raises:
        ExperimentError: a number is NaN, infinite or beyond 64 bits, or a text has control or half characters, or is
            too long; the message names the key.
    """
    for key, value in settings.items():
        _check(str(key), value, 0)


def check_name(key: str, value: Any) -> None:
    """Raise ExperimentError for a name that tables cannot show: no text, blank, or of more than 200 letters."""
    if value is not None and not isinstance(value, str):
        raise ExperimentError(f"{key} is {shown(value)}: it must be a text")
    if value is not None and not NAME.fullmatch(value):
        raise ExperimentError(f"{key} is {shown(value)}: a name has 1 to 200 letters, and no blanks around them")


def check_folder(key: str, value: Any) -> None:
    """Raise ExperimentError for what cannot be the name of one folder, or the beginning of one."""
    if not isinstance(value, str):
        raise ExperimentError(f"{key} is {shown(value)}: it must be a text")
    if not FOLDER.fullmatch(value):
        raise ExperimentError(
            f"{key} is {shown(value)}: it is the name of a folder, so it has 1 to 100 letters without / and \\, "
            f"no blanks around them, and is neither . nor .."
        )


def check_path(key: str, value: Any) -> None:
    """Raise ExperimentError for what cannot be a path or a hub id: no text, a blank one, or too long a part of a path.

    ``value``: None if there is none.
    """
    if value is None:
        return
    if not isinstance(value, str):
        raise ExperimentError(f"{key} is {shown(value)}: it must be a text")
    if not value.strip():
        raise ExperimentError(f"{key} is empty: give a path, or null where the key allows none")
    if any(len(part.encode()) > PART_BYTES for part in value.split("/")):
        raise ExperimentError(f"{key} is {shown(value)}: a part of a path has at most {PART_BYTES} bytes")


def check_pattern(key: str, value: str | None, pattern: re.Pattern[str], expected: str) -> None:
    """Raise ExperimentError unless a text that is given fits a pattern, which ``expected`` describes."""
    if value is not None and not pattern.fullmatch(value):
        raise ExperimentError(f"{key} is {shown(value)}: {expected} is expected")


def _check(key: str, value: Any, depth: int) -> None:
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int):
        if not -LARGEST <= value < LARGEST:
            raise ExperimentError(f"{key} is {shown(value)}: no whole number beyond 64 bits can be used")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ExperimentError(f"{key} is {value}: it must be a finite number")
    elif isinstance(value, str):
        _check_text(key, value)
    elif depth > DEEPEST:
        raise ExperimentError(f"{key[:200]}: values are nested more than {DEEPEST} deep")
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            _check_text(f"the name of a key of {key}", str(name))
            _check(f"{key}.{name}", inner, depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check(key, inner, depth + 1)


def _check_text(key: str, text: str) -> None:
    prose = any(key == place or key.startswith(f"{place}.") for place in OF_READERS)
    found = (UNWRITABLE if prose else UNPRINTABLE).search(text)
    if found is not None:
        kind = "a control character" if ord(found[0]) < 0xD800 else "half of a character"
        raise ExperimentError(f"{key} is {shown(text)}: it has {kind}, U+{ord(found[0]):04X}, which no file can hold")
    if len(text) > LONGEST and not prose:
        raise ExperimentError(f"{key} has {len(text):,} letters, {shown(text)}: it may have {LONGEST:,} at most")
