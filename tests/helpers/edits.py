"""Edits of files that change neither size nor times."""

import os
from pathlib import Path


def edit_in_place(path: Path, old: bytes, new: bytes) -> None:
    """Edit a file so that its size and its time of change stay."""
    before, content = path.stat(), path.read_bytes()
    assert old in content
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
