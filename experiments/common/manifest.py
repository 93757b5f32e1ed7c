"""Describe the files that a job promises, and find out which of them were damaged since.

A finished job's status lists them (``files``: name -> ``bytes``, ``blake2b``, ``mtime``) and is sealed by a digest of
its own content. ``manifest.json`` is a copy of it: each of the two is restored from the other. Jobs of earlier versions
have neither, and are read as they are.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.common.cache import file_digest, fingerprint

MANIFEST = "manifest.json"
FILES, SEAL = "files", "digest"
SMALL = 2**20  # bytes of a file that is always read whole
QUICK, USUAL, FULL = range(3)  # of a larger file compare the size; the content too if its time differs; the content


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return named values with the digest of all of them."""
    return {**value, SEAL: fingerprint(value)}


def is_broken(value: Mapping[str, Any]) -> bool:
    """Return whether sealed values were altered. Values of earlier versions have no seal and note no files."""
    unsealed = {name: inner for name, inner in value.items() if name != SEAL}
    return value[SEAL] != fingerprint(unsealed) if SEAL in value else FILES in value


def described(path: Path) -> dict[str, Any]:
    """Return what is noted of a file."""
    state = path.stat()
    return {"bytes": state.st_size, "blake2b": file_digest(path), "mtime": state.st_mtime_ns}


def damages(folder: Path, files: Any, effort: int = QUICK) -> Iterator[tuple[str, str]]:
    """Yield the name of each damaged file and what is wrong with it. ``files``: as noted; None for earlier versions."""
    for name, noted in files.items() if isinstance(files, Mapping) else ():
        problem = damage(folder / name, noted, effort)
        if problem is not None:
            yield name, problem


def damage(path: Path, noted: Mapping[str, Any], effort: int = QUICK) -> str | None:
    """Return what is wrong with a file; None if nothing is."""
    if path.is_dir():
        return "is a folder"
    try:
        state = path.stat()
        if state.st_size != noted["bytes"]:
            return f"has {state.st_size:,} bytes instead of {noted['bytes']:,}"
        alike = effort == QUICK or (effort == USUAL and state.st_mtime_ns == noted["mtime"])
        if state.st_size > SMALL and alike:
            return None
        return None if file_digest(path) == noted["blake2b"] else "was altered"
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
