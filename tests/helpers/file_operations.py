"""A process that is killed between two operations on the files of a checkpoint."""

import os
from collections.abc import Callable
from typing import Any

import pytest


class Killed(BaseException):
    """What stands for a process that is gone: nothing is written after it."""


class Operations:
    """Counts what is done to the files of checkpoints; from a given number on nothing is done any more."""

    def __init__(self) -> None:
        self.count = 0

    def watch(self, patch: pytest.MonkeyPatch, die_at: int | None) -> None:
        for name in ("open", "fsync", "replace", "unlink", "rmdir"):
            patch.setattr(os, name, self._watched(getattr(os, name), die_at))

    def _watched(self, real: Callable[..., Any], die_at: int | None) -> Callable[..., Any]:
        def operation(*arguments: Any, **options: Any) -> Any:
            place = os.readlink(f"/proc/self/fd/{arguments[0]}") if real is os_fsync else str(arguments[0])
            if die_at is not None and self.count > die_at:
                raise Killed
            if "/checkpoints" in place:
                self.count += 1
                if die_at is not None and self.count > die_at:
                    raise Killed
            return real(*arguments, **options)

        return operation


os_fsync = os.fsync
