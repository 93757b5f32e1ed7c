"""Declare the usual arguments of parts with a ``_target_``; any other argument can be added."""

from dataclasses import fields
from typing import Any


class OpenPart:
    """Base of dataclasses for the usual arguments of a ``_target_``; OmegaConf sets added ones as attributes."""

    def settings(self) -> dict[str, Any]:
        """Return ``_target_`` and every argument, declared or added."""
        return dict(vars(self))

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the target."""
        return {name: value for name, value in vars(self).items() if name != "_target_"}

    def added(self) -> dict[str, Any]:
        """Return the arguments that the dataclass does not declare."""
        declared = {item.name for item in fields(self)}  # type: ignore[arg-type]  # the subclasses are dataclasses
        return {name: value for name, value in vars(self).items() if name not in declared}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({vars(self)})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # the arguments can be changed
