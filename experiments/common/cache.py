"""Content-addressed cache on disk: each entry is keyed by a hash of its inputs, built once and written atomically.

The *key* of an entry is the JSON of all inputs (collection, settings, versions). A manifest holds the key and each
file's size and checksum; an entry that does not match it is built again. Two processes never build one entry at once.
A build happens in a temporary folder that is renamed at the end; a resumable build gets its temporary folder back.
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

from experiments.common.disk import (
    TEMPORARY,
    caches,
    clear_temporaries,
    explained,
    is_of_a_cache,
    make_folder,
    open_to_others,
    replacing,
)
from experiments.common.disk import sync_folder as sync_folder

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
ATTEMPTS = 3  # to make an entry whose files are deleted meanwhile
SMALL, BLOCK, BLOCKS = 64 * 2**20, 2**20, 16  # bytes of a file that is read whole, of a sampled block, and how many


def fingerprint(key: Any) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a JSON-able value, whatever the order of its keys."""
    text = json.dumps(key, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return the BLAKE2b digest of a file's content (about a gigabyte a second)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def content_digest(path: Path) -> str:
    """Return the BLAKE2b digest of a file's content, from the cache for a large file that has not changed.

    A file above 64 MiB counts as unchanged while its size, times, inode and 16 sampled blocks of 1 MiB are the same.
    ``thorough`` reads everything.
    """
    return _digests.of(path)


@contextmanager
def thorough() -> Iterator[None]:
    """Compute every content digest from the whole file inside this context."""
    before, _digests.thorough = _digests.thorough, True
    try:
        yield
    finally:
        _digests.thorough = before


class _Digests:
    """Keeps content digests of large files in ``folder``; None keeps none."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.thorough = False

    def of(self, path: Path) -> str:
        size = path.stat().st_size
        if self.folder is None or size <= SMALL:
            return file_digest(path)
        note, now = self._state_of(path, self.folder)
        if not self.thorough and (known := self._noted(note)) is not None and known.items() >= now.items():
            return str(known["blake2b"])
        digest = file_digest(path)
        write_json(note, {**now, "blake2b": digest})
        return digest

    def keep(self, path: Path, digest: str) -> None:
        """Note the digest of a file that was computed just now, so that its first opening does not read it again."""
        if self.folder is not None and path.stat().st_size > SMALL:
            note, now = self._state_of(path, self.folder)
            write_json(note, {**now, "blake2b": digest})

    @staticmethod
    def _state_of(path: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
        """Return where a file's digest is noted, and what tells that the file has not changed since."""
        state, place = path.stat(), os.path.realpath(path)
        times = [state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
        now = {"path": place, "bytes": state.st_size, "times": times, "sample": _sample(path, state.st_size)}
        return folder / f"{fingerprint(place)}.json", now

    @staticmethod
    def _noted(note: Path) -> dict[str, Any] | None:
        try:
            known = json.loads(note.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # a truncated note is written again
            return None
        return known if isinstance(known, dict) and "blake2b" in known else None


def _sample(path: Path, size: int) -> str:
    """Return the digest of blocks from a file's head to its tail."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        for i in range(BLOCKS):
            file.seek(i * (size - BLOCK) // (BLOCKS - 1))
            digest.update(file.read(BLOCK))
    return digest.hexdigest()


def write_atomic(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a text file: a reader sees the old content or the new. ``durable``: also after a loss of power.

    Raises:
        ExperimentError: the disk refuses it; nothing half-written stays.
    """
    with replacing(path, durable=durable) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """Write a value as indented JSON, atomically. ``durable``: see ``write_atomic``."""
    write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n", durable=durable)


_digests = _Digests()


class Cache:
    """Cache entries below one folder. ``content_digest`` keeps its digests in the cache that was opened last."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.hits: dict[str, int] = {}
        self.builds: dict[str, int] = {}
        _digests.folder = self.root / "digests"
        caches.add(os.path.abspath(self.root))

    def get(self, kind: str, key: Mapping[str, Any], build: Callable[[Path], None], *, resumable: bool = False) -> Path:
        """Return the folder of an entry; call ``build(folder)`` unless the entry exists and is whole.

        ``kind``: sort of entry (``collection``, ``run`` ...). ``key``: all inputs. ``resumable``: after an error or a
        kill, ``build`` gets its folder back as it left it, and must check the content; otherwise it gets an empty one.

        Raises:
            ExperimentError: the disk refuses the entry; nothing half-written stays that is not built upon.
        """
        folder = self.root / kind / fingerprint(key)
        with explained(folder):
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    counts = self.builds if self._made(folder, key, build, resumable) else self.hits
                    break
                except FileNotFoundError as error:
                    if attempt == ATTEMPTS or not is_of_a_cache(error):
                        raise
                    log.warning("the cache %s was emptied while its entry %s was made: again", self.root, kind)
        counts[kind] = counts.get(kind, 0) + 1
        return folder

    def _made(self, folder: Path, key: Mapping[str, Any], build: Callable[[Path], None], resumable: bool) -> bool:
        """Make an entry whole; returns whether it had to be built."""
        if self._is_whole(folder, key):
            return False
        make_folder(folder.parent)
        with FileLock(f"{folder}.lock"):
            if self._is_whole(folder, key):  # another process built it while this one waited
                return False
            self._build(folder, key, build, resumable)
        return True

    def holds(self, kind: str, key: Mapping[str, Any]) -> bool:
        """Return whether an entry exists and is whole."""
        return self._is_whole(self.root / kind / fingerprint(key), key)

    def keys(self, kind: str) -> list[dict[str, Any]]:
        """Return the keys of all entries of a kind, without a look at their files."""
        return [
            json.loads(path.read_text(encoding="utf-8"))["key"]
            for path in sorted(self.root.glob(f"{kind}/*/{MANIFEST}"))
            if not path.parent.name.startswith(".")  # a build that has not ended
        ]

    def _build(self, folder: Path, key: Mapping[str, Any], build: Callable[[Path], None], resumable: bool) -> None:
        if resumable:
            temporary = folder.parent / f".{folder.name}.unfinished"
            temporary.mkdir(exist_ok=True)
        else:
            clear_temporaries(folder.parent, folder.name)  # of killed processes: this one holds the lock
            temporary = Path(tempfile.mkdtemp(TEMPORARY, f".{folder.name}.", folder.parent))
        try:
            build(temporary)
            files = {
                str(path.relative_to(temporary)): {"bytes": path.stat().st_size, "blake2b": file_digest(path)}
                for path in sorted(temporary.rglob("*"))
                if path.is_file()
            }
            write_json(temporary / MANIFEST, {"key": dict(key), "files": files})
            open_to_others(temporary)
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(temporary, folder)
            for name, written in files.items():
                _digests.keep(folder / name, str(written["blake2b"]))
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
    """Return the manifest of an entry: its ``key``, and its ``files`` with size (``bytes``) and ``blake2b``."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return manifest


def damage(folder: Path, key: Mapping[str, Any] | None = None) -> str | None:
    """Return what is wrong with an entry on disk: another key, a missing or altered file; None if it is whole."""
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
        if path.stat().st_size != expected["bytes"] or content_digest(path) != expected["blake2b"]:
            return f"{name} was altered"
    return None
