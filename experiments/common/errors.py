"""The one exception that a user's own input can cause, and messages of one printable line."""

import re

from experiments.common.stopping import received
from experiments.common.text import first_line

LONGEST = 1500  # letters of a message; paths, the names to choose from and a command that helps fit
BEGINNING, END = 1100, 380  # letters that are left of a longer one: where, and the way out
LONG_WORD = re.compile(r"\S{300,}")
LINE_ENDS = re.compile(r"\s*[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+\s*")
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class ExperimentError(Exception):
    """A file, key or value from the user cannot be used.

    The message names the file, line or key, what is wrong and what to do. Entry points print it without a traceback.
    Whatever a file holds, it is one line that can be printed (``one_line``).
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))


def one_line(message: str) -> str:
    """Return a message on one line, with escapes for what cannot be printed; the middle of a long one is left out."""
    line = LINE_ENDS.sub(" ", _without_middle(message)).strip()
    line = LONG_WORD.sub(lambda match: f"{match[0][:80]} ... {match[0][-10:]}", line)
    line = UNPRINTABLE.sub(lambda match: escape(match[0]), line)
    return line if len(line) <= LONGEST else f"{line[:BEGINNING]} ... {line[-END:]}"


def _without_middle(message: str) -> str:
    """Return a message without its middle if it has megabytes, which no expression should search."""
    return message if len(message) <= 20 * LONGEST else f"{message[: 2 * LONGEST]}...{message[-2 * LONGEST :]}"


def escape(letter: str) -> str:
    r"""Return the escape of a letter that cannot be printed: ``\x00``, ``\ud800``."""
    number = ord(letter)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def shown(value: object, letters: int = 80) -> str:
    """Return a value as Python writes it, cut to some letters, for a message."""
    try:
        text = repr(value[: 2 * letters] if isinstance(value, str) else value)
    except (RecursionError, ValueError):  # nested without end, or a number of thousands of digits
        text = type(value).__name__
    return text if len(text) <= letters else f"{text[: letters - 4]} ..."


def noted_reason(text: object) -> str | None:
    """Return the reason that a file or a record notes as one printable line; None without one.

    A file may hold any text as the reason why a job failed.
    """
    return one_line(first_line(text)) or None


def why(error: BaseException) -> str:
    """Return one line: the message's first line, after the exception's name unless the user can fix it."""
    if isinstance(error, KeyboardInterrupt | SystemExit) or received() is not None:  # then the stop led to the error
        return "interrupted"
    lines = str(error).strip().splitlines()
    kind = "" if isinstance(error, ExperimentError) else type(error).__name__
    return one_line(": ".join(part for part in (kind, lines[0] if lines else "") if part))
