"""Write files so that nothing half-written stays, and say in one line why a path could not be written or read."""

import errno
import fcntl
import logging
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from experiments.common.errors import ExperimentError
from experiments.common.text import first_line

TEMPORARY = ".part"  # the end of a temporary file's hidden name
AGAIN = "run the same command again: it goes on from here"
ELSEWHERE = "or choose another folder (outputs=..., cache=...)"
ADVICE = {
    errno.ENOSPC: f"there is no space left on this disk: free some and {AGAIN}",
    errno.EDQUOT: f"your quota on this disk is used up: free some space and {AGAIN}",
    errno.EFBIG: f"the file is larger than this disk or `ulimit -f` allows: raise the limit and {AGAIN}",
    errno.EROFS: f"this disk is read-only: make it writable, {ELSEWHERE}",
    errno.EACCES: f"no permission: change it (ls -ld shows it), {ELSEWHERE}",
    errno.EPERM: f"no permission: change it (ls -ld shows it), {ELSEWHERE}",
    errno.ENOTDIR: f"a file is where a folder should be: move it away, {ELSEWHERE}",
    errno.EEXIST: f"a file is where a folder should be: move it away, {ELSEWHERE}",
    errno.EISDIR: f"a folder is where a file should be: move it away, {ELSEWHERE}",
    errno.ENOTEMPTY: "a folder with files in it is where a file or an empty folder should be: move it away",
    errno.ENAMETOOLONG: "the name is too long for this disk: choose a shorter study or outputs folder",
    errno.ELOOP: "its links lead in a circle: mend them",
    errno.EMFILE: f"too many files are open: raise `ulimit -n` and {AGAIN}",
    errno.EIO: f"the disk reports an error: check it, {ELSEWHERE}",
    errno.ESTALE: f"the network disk has lost it: mount it again and {AGAIN}",
}
NUMBER = re.compile(r"(?:os error |\[Errno )(\d+)")  # in errors of libraries: safetensors', pyarrow's
SHORT = re.compile(
    r"\d+ requested and \d+ written|failed writing file|file write failed|unexpected pos"
)  # NumPy, torch
GONE = f"it is gone, as somebody emptied the cache while this ran: {AGAIN}, and makes the cache anew"
caches: set[str] = set()  # folders whose files somebody may delete at any time
FEW_BYTES = 2**20  # a disk with less is full, where a library does not say why it could not write


def reason(error: BaseException, place: Path | str | None = None) -> str | None:
    """Return one line on an error of the disk: the path, what is wrong, what to do; None for any other error.

    ``place``: where it happened, for errors that name no path. The error that another one was raised from counts too.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, FileNotFoundError) and is_of_a_cache(seen):
            return f"{os.fsdecode(seen.filename)}: {GONE}"
        number = _number_of(seen, place)
        if number is not None:
            path = getattr(seen, "filename2", None) or getattr(seen, "filename", None) or place
            if number == errno.EEXIST and path is not None and Path(os.fsdecode(path)).is_dir():
                number = errno.ENOTEMPTY
            named = f"{os.fsdecode(path)}: " if path is not None else ""
            return f"{named}{ADVICE[number]}"
        seen = seen.__cause__ or seen.__context__
    return None


def is_of_a_cache(error: FileNotFoundError) -> bool:
    """Return whether the file that is missing belongs to a cache."""
    if error.filename is None:
        return False
    path = os.path.abspath(os.fsdecode(error.filename))
    return any(path.startswith(f"{folder}{os.sep}") for folder in caches)


def _number_of(error: BaseException, place: Path | str | None) -> int | None:
    """Return the errno behind an error, if it has advice."""
    if isinstance(error, ExperimentError):
        return None
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in ADVICE else None
    text = first_line(error)
    if match := NUMBER.search(text):
        return int(match[1]) if int(match[1]) in ADVICE else None
    return errno.ENOSPC if SHORT.search(text) and place is not None and is_full(Path(place)) else None


def is_full(place: Path) -> bool:
    """Return whether the disk of a path has no space left."""
    there = next((folder for folder in (place, *place.parents) if folder.exists()), Path("."))
    return shutil.disk_usage(there).free < FEW_BYTES


@contextmanager
def explained(place: Path | str | None = None) -> Iterator[None]:
    """Raise the disk's errors inside this context as ExperimentErrors that name the path. ``place``: see ``reason``."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ExperimentError) or (line := reason(error, place)) is None:
            raise
        raise ExperimentError(line) from error


def note_log_errors() -> None:
    """Let a log file that the disk refuses say so once, in one line; without this each line prints a traceback."""
    before, noted = logging.Handler.handleError, set[str]()

    def note(handler: logging.Handler, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        line = reason(error, getattr(handler, "baseFilename", None)) if error is not None else None
        if line is None:
            before(handler, record)
        elif line not in noted:
            noted.add(line)
            print(f"the log is not complete: {line}", file=sys.stderr)

    logging.Handler.handleError = note  # type: ignore[method-assign,assignment]


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[IO[bytes]]:
    """Write a file under a temporary name, which becomes ``path`` at the end and is deleted after an error.

    A reader sees the old content or the new. ``durable``: also after a loss of power. Temporary files that killed
    processes have left of ``path`` are deleted.

    Raises:
        ExperimentError: the disk refuses it.
    """
    with explained(path):
        make_folder(path.parent)
        _clear_abandoned(path)
        handle, name = _locked_temporary(path)
        try:
            with os.fdopen(os.dup(handle), "wb") as file:
                yield file
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            open_to_others(Path(name))
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        if durable:
            sync_folder(path.parent)


def _locked_temporary(path: Path) -> tuple[int, str]:
    """Open a temporary file for ``path``, locked as long as its process writes it; returns its descriptor and name."""
    while True:
        handle, name = tempfile.mkstemp(TEMPORARY, f".{path.name}.", path.parent)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another process has found it before it was locked, and deletes it
            os.close(handle)
            continue
        except OSError:  # a disk without locks, on which nobody deletes it
            return handle, name
        if os.path.exists(name):
            return handle, name
        os.close(handle)


def _clear_abandoned(path: Path) -> None:
    """Delete the temporary files of ``path`` whose processes are gone."""
    for left in _temporaries(path.parent, path.name):
        try:
            handle = os.open(left, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:  # a folder, or renamed or deleted meanwhile
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink(missing_ok=True)
        except OSError:  # its process writes it
            pass
        finally:
            os.close(handle)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name, which becomes ``path`` at the end and is deleted after an error.

    Raises:
        ExperimentError: the disk refuses it.
    """
    with explained(path):
        make_folder(path.parent)
        clear_temporaries(path.parent, path.name)
        temporary = Path(tempfile.mkdtemp(TEMPORARY, f".{path.name}.", path.parent))
        try:
            yield temporary
            open_to_others(temporary)
            if path.exists():
                shutil.rmtree(path)
            os.replace(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def open_to_others(path: Path) -> None:
    """Give a file, or a folder and all in it, the permissions that the user's umask gives new ones.

    Temporary files are the user's own until then, and some libraries write their files so too.
    """
    hidden = os.umask(0o077)
    os.umask(hidden)
    for each in (path, *(path.rglob("*") if path.is_dir() else ())):
        if not each.is_symlink():
            mode = each.stat().st_mode
            shared = (0o777 if stat.S_ISDIR(mode) else 0o666) & ~hidden
            each.chmod(stat.S_IMODE(mode) & ~0o777 | shared)  # the others are those of a folder that a group shares


def clear_temporaries(folder: Path, name: str | None = None) -> None:
    """Delete what killed processes have left of ``name``, or of anything; nobody else may be writing it."""
    for path in _temporaries(folder, name):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _temporaries(folder: Path, name: str | None) -> list[Path]:
    beginning = "." if name is None else f".{name}."
    names = os.listdir(folder)
    return [folder / each for each in names if each.startswith(beginning) and each.endswith(TEMPORARY)]


def make_folder(path: Path) -> None:
    """Make a folder and those above it. Raises ExperimentError if the disk refuses it, or a file is in its place."""
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder's file names to disk, so that a rename survives a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def reserve(path: Path) -> None:
    """Take the space of a file that has its size already, before it is written through a memory map.

    A map of a sparse file on a full disk would end the process by SIGBUS. Raises OSError if there is no space.
    """
    size = path.stat().st_size
    with path.open("r+b") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
            return
        place: Any = file.seek(0, os.SEEK_SET)
        while place < size:
            block = file.read(2**20)
            file.seek(place)
            file.write(block)
            place += len(block)
