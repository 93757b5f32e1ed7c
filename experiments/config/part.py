"""Parts of a config that are called by ``_target_``: some arguments are declared, every other one can be added."""

from dataclasses import fields
from typing import Any


class OpenPart:
    """A part whose class is named by ``_target_``; base of the dataclasses that declare its usual arguments.

    An argument that is added in a YAML file or on the command line becomes an attribute, as OmegaConf sets it.
    """

    def settings(self) -> dict[str, Any]:
        """Return ``_target_`` and every argument, declared or added."""
        return dict(vars(self))

    def arguments(self) -> dict[str, Any]:
        """Return what the target is called with."""
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
