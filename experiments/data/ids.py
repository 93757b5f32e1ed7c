"""Write ids into files with fields, and read them back.

A TREC file separates its fields by blanks. An id with blanks is therefore percent-encoded: each blank and each %
becomes %XX (its UTF-8 bytes). Other ids are written unchanged, also with a %. On reading, only an unknown id is
decoded.
"""

import re
from urllib.parse import quote, unquote

from experiments.common.errors import ExperimentError, shown

# What no file with an id a field can hold: nothing at all, control characters, blanks at the ends (RE2, for pyarrow).
UNUSABLE = r"^$|\p{Cc}|^\p{Z}|\p{Z}$"
BLANKS = r"\p{Z}"  # of any script; tabs and line ends are control characters
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # of those: what a field of a line may hold and an id may not
SEPARATORS = re.compile(r"[\x1c-\x1f]")  # blanks for ``str.split``, and for nobody else
FIELD = re.compile(r"[^ \t\r\n\f\v]+")


def check_id(where: str, text: str) -> None:
    """Raise ExperimentError for an id with a control character. ``where`` begins the message."""
    if CONTROL.search(text):
        raise ExperimentError(f"{where}: the id {shown(text)} has a control character: the file is damaged")


def escaped(text: str) -> str:
    """Percent-encode the blanks and % of an id with blanks; return others unchanged."""
    if (text.isascii() and " " not in text) or not any(map(str.isspace, text)):  # the first holds for nearly all ids
        return text
    return "".join(quote(letter, safe="") if letter.isspace() or letter == "%" else letter for letter in text)


def unescaped(text: str) -> str:
    """Decode an id written by ``escaped``."""
    return unquote(text) if "%" in text else text


def fields(line: str) -> list[str]:
    """Split a line at blanks and tabs. Blanks beyond ASCII are part of a field, as in trec_eval."""
    return FIELD.findall(line) if not line.isascii() or SEPARATORS.search(line) else line.split()
