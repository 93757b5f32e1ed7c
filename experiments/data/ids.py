"""Ids as files with fields can hold them.

A TREC file separates its fields by blanks, so an id with blanks is written percent-encoded: each blank and each % of
such an id becomes %XX (its UTF-8 bytes). Ids without blanks are written as they are, also those with a %. When a file
is read, an id that the collection has is that id; only one that it lacks is decoded.
"""

import re
from urllib.parse import quote, unquote

# What no file with an id a field can hold: nothing at all, control characters, blanks at the ends (RE2, for pyarrow).
UNUSABLE = r"^$|\p{Cc}|^\p{Z}|\p{Z}$"
BLANKS = r"\p{Z}"  # of any script; tabs and line ends are control characters
FIELD = re.compile(r"[^ \t\r\n\f\v]+")


def escaped(text: str) -> str:
    """An id as it stands in a TREC file: the blanks and % of an id with blanks percent-encoded, others unchanged."""
    if text.isascii() and " " not in text:  # nearly all ids
        return text
    if not any(letter.isspace() for letter in text):
        return text
    return "".join(quote(letter, safe="") if letter.isspace() or letter == "%" else letter for letter in text)


def unescaped(text: str) -> str:
    """The id that ``escaped`` wrote; an id without a % as it is."""
    return unquote(text) if "%" in text else text


def fields(line: str) -> list[str]:
    """The fields of a line that blanks and tabs separate. Blanks beyond ASCII are part of a field, as in trec_eval."""
    return line.split() if line.isascii() else FIELD.findall(line)
