"""Declare how a cross-encoder reads a document that is longer than its input: its first tokens, or windows of it."""

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from experiments.common.checks import at_least, one_of
from experiments.common.errors import ExperimentError

if TYPE_CHECKING:
    from experiments.data.windows import Windows

FIRST_P, MAX_P = "first_p", "max_p"
WINDOWS = ("window", "stride", "max_windows")  # keys that max_p alone has
MOST_WINDOWS = 30  # as the code of Dai and Callan 2019 takes


@dataclass
class LongDocuments:
    """Keys of a cross-encoder that scores documents of more than ``model.max_length`` tokens."""

    document: str | None = field(default=FIRST_P, metadata={"absent_at": FIRST_P})
    """How a passage that does not fit into ``model.max_length`` is scored: by its first tokens (``first_p``), or by the
    best score of its windows (``max_p``, Dai and Callan 2019). It trains on the first tokens either way."""
    window: int | None = field(default=None, metadata={"absent_at": None})
    """Tokens of a window of ``max_p``; null for all that fit next to each query."""
    stride: int | None = field(default=None, metadata={"absent_at": None})
    """Tokens from one window's start to the next one's, at most ``model.window``; null for half a window."""
    max_windows: int | None = field(default=None, metadata={"absent_at": None})
    """Windows of a passage that are scored: the first ones, text behind them is not read; null for 30."""

    @property
    def windows(self) -> "Windows | None":
        """How passages are cut into windows; None if they are not."""
        from experiments.data.windows import Windows

        if self.document != MAX_P:
            return None
        return Windows(self.window, self.stride, MOST_WINDOWS if self.max_windows is None else self.max_windows)

    def document_label(self) -> dict[str, Any]:
        """Return the label of how documents are scored, with the settings of windows that are given; empty for the
        default, which jobs of before these keys lack.
        """
        default = {each.name: each for each in fields(self)}["document"].default
        given = {name: getattr(self, name) for name in WINDOWS if getattr(self, name) is not None}
        said = " ".join([str(self.document), *(f"{name}={value}" for name, value in given.items())])
        return {} if self.document == default else {"document": said}

    def check_document(self, *, may_be_null: bool = False) -> None:
        """Raise ExperimentError for a value out of range, or a setting of windows without ``max_p``."""
        one_of("model.document", self.document, (*((None,) if may_be_null else ()), FIRST_P, MAX_P))
        at_least("model.window", self.window, 1)
        at_least("model.stride", self.stride, 1)
        at_least("model.max_windows", self.max_windows, 1)
        for name in WINDOWS:
            if self.document != MAX_P and getattr(self, name) is not None:
                raise ExperimentError(
                    f"model.{name}={getattr(self, name)} is of windows, which model.document={self.document} does not "
                    f"have: set model.document={MAX_P}, or leave it out"
                )
        if self.window is not None and self.stride is not None and self.stride > self.window:
            raise ExperimentError(
                f"model.stride={self.stride} is more than model.window={self.window}, so that tokens between windows "
                f"would be left out: set it to at most {self.window}"
            )
