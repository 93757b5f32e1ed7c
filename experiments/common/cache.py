"""Content-addressed cache on disk: each entry is keyed by a hash of its inputs, built once and written atomically.

The *key* of an entry is the JSON of everything it was made from (collection, settings, versions). Next to its files
lies a manifest with the key and each file's size and checksum; an entry that does not match it is built again. Of two
processes that ask for the same entry at once, one builds and the other waits. A build goes into a temporary folder that
is renamed at the end, so that an interrupted one is never taken for the whole. A resumable build gets its temporary
folder back.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
SMALL, BLOCK, BLOCKS = 64 * 2**20, 2**20, 16  # bytes of a file that is read whole, of a sampled block, and how many


def fingerprint(key: Any) -> str:
    """The hexadecimal SHA-256 of a JSON-able value, independent of the order of its keys; first 16 digits."""
    text = json.dumps(key, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """The BLAKE2b digest of a file's content (about a gigabyte a second)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def content_digest(path: Path) -> str:
    """The BLAKE2b digest of a file's content, of a large file as this process or an earlier one worked it out.

    A file of up to 64 MiB is read whole each time. The digest of a larger one is kept in the cache, with the file's
    size, times and inode and a hash of 16 blocks of 1 MiB from its head to its tail; while all of these are as they
    were, so is the digest. An edit is missed only if it leaves the size, both times (the kernel's own included) and
    every sampled block as they were; ``thorough`` reads everything.
    """
    return _digests.of(path)


@contextmanager
def thorough() -> Iterator[None]:
    """Work out every content digest anew from the whole file, as long as this lasts."""
    before, _digests.thorough = _digests.thorough, True
    try:
        yield
    finally:
        _digests.thorough = before


class _Digests:
    """The content digests of large files. ``folder``: where they are kept; None keeps none."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.thorough = False

    def of(self, path: Path) -> str:
        state = path.stat()
        if self.folder is None or state.st_size <= SMALL:
            return file_digest(path)
        place = os.path.realpath(path)
        note = self.folder / f"{fingerprint(place)}.json"
        times = [state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
        now = {"path": place, "bytes": state.st_size, "times": times, "sample": _sample(path, state.st_size)}
        if not self.thorough and (known := self._noted(note)) is not None and known.items() >= now.items():
            return str(known["blake2b"])
        digest = file_digest(path)
        write_json(note, {**now, "blake2b": digest})
        return digest

    @staticmethod
    def _noted(note: Path) -> dict[str, Any] | None:
        try:
            found = json.loads(note.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # one that was cut is written anew
            return None
        return found if isinstance(found, dict) and "blake2b" in found else None


def _sample(path: Path, size: int) -> str:
    """The digest of blocks from a file's head to its tail."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        for i in range(BLOCKS):
            file.seek(i * (size - BLOCK) // (BLOCKS - 1))
            digest.update(file.read(BLOCK))
    return digest.hexdigest()


def write_atomic(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a text file so that a reader sees the old content or the new, never a part. ``durable``: also after a loss
    of power.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.chmod(name, 0o644)
    os.replace(name, path)
    if durable:
        sync_folder(path.parent)


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """Write a value as indented JSON, atomically. ``durable``: see ``write_atomic``."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n", durable=durable)


def sync_folder(folder: Path) -> None:
    """See the names of a folder's files onto the disk, so that a rename outlives a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_digests = _Digests()


class Cache:
    """The entries below one folder. Opening one lets ``content_digest`` keep what it works out there."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.hits: dict[str, int] = {}
        self.builds: dict[str, int] = {}
        _digests.folder = self.root / "digests"

    def get(self, kind: str, key: Mapping[str, Any], build: Callable[[Path], None], *, resumable: bool = False) -> Path:
        """The folder of an entry, built by ``build(folder)`` unless it is there and whole.

        ``kind`` names the sort of entry (``collection``, ``run`` ...), ``key`` everything that it is made from.
        ``resumable``: after an error or a kill, ``build`` gets its folder back as it left it and must itself judge what
        of it is sound; otherwise it begins with an empty folder.
        """
        folder = self.root / kind / fingerprint(key)
        if self._is_whole(folder, key):
            self.hits[kind] = self.hits.get(kind, 0) + 1
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if self._is_whole(folder, key):  # another process built it while this one waited
                self.hits[kind] = self.hits.get(kind, 0) + 1
                return folder
            self._build(folder, key, build, resumable)
        self.builds[kind] = self.builds.get(kind, 0) + 1
        return folder

    def _build(self, folder: Path, key: Mapping[str, Any], build: Callable[[Path], None], resumable: bool) -> None:
        if resumable:
            temporary = folder.parent / f".{folder.name}.unfinished"
            temporary.mkdir(exist_ok=True)
        else:
            temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            build(temporary)
            files = {
                str(path.relative_to(temporary)): {"bytes": path.stat().st_size, "blake2b": file_digest(path)}
                for path in sorted(temporary.rglob("*"))
                if path.is_file()
            }
            write_json(temporary / MANIFEST, {"key": dict(key), "files": files})
            os.chmod(temporary, 0o755)
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(temporary, folder)
        except BaseException:
            if not resumable:
                shutil.rmtree(temporary, ignore_errors=True)
            raise

    def _is_whole(self, folder: Path, key: Mapping[str, Any]) -> bool:
        manifest_path = folder / MANIFEST
        if not manifest_path.exists():
            return False
        problem = damage(folder, key)
        if problem is not None:
            log.warning("the cache entry %s cannot be used (%s) and is built again", folder, problem)
        return problem is None


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of an entry: its ``key``, and for each of its ``files`` the size in ``bytes`` and the
    ``blake2b``.
    """
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return manifest


def damage(folder: Path, key: Mapping[str, Any] | None = None) -> str | None:
    """What is wrong with an entry on disk: another key, a file that is missing or altered. None if it is whole."""
    try:
        manifest = manifest_of(folder)
        recorded, files = manifest["key"], manifest["files"]
    except (ValueError, KeyError, TypeError):
        return "its manifest is not readable"
    if key is not None and fingerprint(recorded) != fingerprint(dict(key)):
        return "it was made from other data"
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != expected["bytes"] or file_digest(path) != expected["blake2b"]:
            return f"{name} was altered"
    return None
