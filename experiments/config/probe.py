"""Settings of the probing of a model's layers."""

from dataclasses import dataclass, field
from typing import Any

from experiments.common.checks import at_least, one_of
from experiments.common.errors import ExperimentError

PAIRINGS = ("self", "single", "query_empty")
POOLINGS = ("mean", "mean_first", "mean_second", "mean_all", "cls")
SIMILARITIES = ("cosine", "dot")
WHITENINGS = ("none", "standardise")


@dataclass
class Probe:
    """Probing of each layer of a trained cross-encoder as an embedder (Ananthakrishnan et al. 2025)."""

    layers: Any = None
    """``all``, a number or a list of numbers; 0 is the embedding layer; null for no probing."""
    pairing: str = "self"
    """Input for a text: paired with its ``self`` as in the paper, ``single``, or after an empty query
    (``query_empty``)."""
    pooling: list[str] = field(default_factory=lambda: ["mean"])
    """Tokens whose mean is the vector: the text's own in both copies (``mean``, as in the paper), in one of them
    (``mean_first``, ``mean_second``), all tokens (``mean_all``), or the first token alone (``cls``)."""
    similarity: str = "cosine"
    """``cosine`` or ``dot``; the paper does not say."""
    whiten: str = "none"
    """``none``, or ``standardise`` each dimension over the passages."""
    max_length: int | None = None
    """Tokens of an input, at least 8; null for ``model.max_length``."""
    depth: int = 100
    """Passages ranked of the whole collection."""
    control: bool = True
    """Probe the untrained backbone too."""
    measures: list[str] = field(default_factory=lambda: ["RR@10", "R@100", "nDCG@10", "Hits@10"])
    """Measures of ir-measures, and Hits@k; the first has intervals."""

    def __post_init__(self) -> None:
        numbers = self.layers if isinstance(self.layers, list) else [self.layers]
        if self.layers not in (None, "all") and not all(type(number) is int for number in numbers):
            raise ExperimentError(
                f"probe.layers is {self.layers!r}: it must be null, all, a number or a list of numbers"
            )
        if self.layers == []:
            raise ExperimentError("probe.layers is empty: give all, a number or a list of numbers, or null for none")
        one_of("probe.pairing", self.pairing, PAIRINGS)
        for pooling in self.pooling:
            one_of("probe.pooling", pooling, POOLINGS)
        if not self.pooling:
            raise ExperimentError(f"probe.pooling is empty: name at least one of {', '.join(POOLINGS)}")
        one_of("probe.similarity", self.similarity, SIMILARITIES)
        one_of("probe.whiten", self.whiten, WHITENINGS)
        at_least("probe.max_length", self.max_length, 8)
        at_least("probe.depth", self.depth, 1)
