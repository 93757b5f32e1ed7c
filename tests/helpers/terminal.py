"""A terminal: runs a command in one and tells what is on it."""

import os
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

PART = re.compile(r"\x1b\[\??[\d;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+")


@dataclass(frozen=True)
class Session:
    """``written``: all that came to the terminal. ``code``: the exit code."""

    written: str
    code: int

    @property
    def lines(self) -> list[str]:
        """What is to be seen at the end, lines that were overwritten left out."""
        return screen(self.written)

    @property
    def cursor_is_hidden(self) -> bool:
        return self.written.rfind("\x1b[?25l") > self.written.rfind("\x1b[?25h")


def run_in_terminal(
    command: Sequence[str],
    folder: Path,
    columns: int = 80,
    environment: dict[str, str] | None = None,
    interrupt_when: Callable[[], bool] | None = None,
    on_output: Callable[[str], object] = lambda written: None,
) -> Session:
    """Run a command on a terminal of some columns, and press Ctrl-C once a condition holds.

    ``on_output``: gets all that has come to the terminal, each time that more has.
    """
    ours, theirs = os.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = subprocess.Popen(
        command, cwd=folder, env={**os.environ, "TERM": "xterm", **(environment or {})}, stdin=theirs, stdout=theirs,
        stderr=theirs, start_new_session=True,
        # A shell that runs the tests in the background ignores Ctrl-C, and so would the command.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    os.close(theirs)
    written = b""
    while True:
        try:
            found = os.read(ours, 65536)
        except OSError:  # the last process has closed it
            break
        if not found:
            break
        written += found
        on_output(written.decode(errors="replace"))
        if interrupt_when is not None and interrupt_when():
            os.killpg(child.pid, signal.SIGINT)
            interrupt_when = None
    os.close(ours)
    return Session(written.decode(errors="replace"), child.wait())


def screen(written: str) -> list[str]:
    """What a terminal shows of some text with the movements of ``rich.live``: up, erase a line, carriage return."""
    lines, row, column = [""], 0, 0
    for part in PART.findall(written):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif not part.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
        elif part.endswith("A"):
            row -= int(part[2:-1] or 1)
        elif part.endswith("K"):
            lines[row] = ""
    return [line.rstrip() for line in lines]
