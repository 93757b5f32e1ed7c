"""Count the cost of a training: groups, pairs, tokens, seconds, and estimated floating-point operations."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from torch import nn

SHARED = ("groups", "pairs", "tokens", "computed_tokens", "flops")  # each rank has its own part of these totals


@dataclass(frozen=True)
class Step:
    """Cost of one optimiser step on one device.

    ``shape_QN``: groups, and passages per group. ``tokens``: of all texts or pairs, special tokens included.
    ``computed_tokens``: the same with padding. ``flops``: an estimate.
    """

    shape_QN: tuple[int, int]
    tokens: int
    computed_tokens: int
    flops: float


@dataclass
class Spent:
    """Running totals of one rank. The checkpoint has those of all ranks, so that a resumed job counts on.

    ``tokens``, ``computed_tokens``: see ``Step``.
    """

    steps: int = 0
    groups: int = 0
    pairs: int = 0
    tokens: int = 0
    computed_tokens: int = 0
    seconds: float = 0.0
    flops: float = 0.0

    def count(self, step: Step) -> None:
        """Add one step."""
        queries, passages = step.shape_QN
        self.steps += 1
        self.groups += queries
        self.pairs += queries * passages
        self.tokens += step.tokens
        self.computed_tokens += step.computed_tokens
        self.flops += step.flops

    def over_ranks(self, summed: Callable[[Sequence[float]], Sequence[float]]) -> "Spent":
        """Return the totals of all ranks; steps and seconds are the same for each. ``summed``: of values over ranks."""
        totals = dict(zip(SHARED, summed([getattr(self, name) for name in SHARED]), strict=True))
        return replace(self, **{name: type(getattr(self, name))(total) for name, total in totals.items()})

    def of_another_rank(self) -> "Spent":
        """Return what a rank other than the first counts on from, where the first has the totals of all."""
        return replace(self, **dict.fromkeys(SHARED, 0))

    def as_dict(self) -> dict[str, float]:
        """Return the totals, and the share of computed tokens that were padding."""
        waste = 1 - self.tokens / self.computed_tokens if self.computed_tokens else 0.0
        return {**asdict(self), "padding_waste": waste}


@dataclass(frozen=True)
class CostModel:
    """Floating-point operations of an encoder, as the full algorithm has them: work that a packed pass skips is counted
    too, so that jobs compare.

    ``weights``: parameters multiplied with every token (embeddings are looked up instead). ``attention``: layers times
    hidden size.
    """

    weights: int
    attention: int

    @classmethod
    def of(cls, network: nn.Module) -> "CostModel":
        """Read the sizes of a Hugging Face model."""
        embeddings = [module for module in network.modules() if isinstance(module, nn.Embedding)]
        lookups = {id(p) for module in embeddings for p in module.parameters()}
        weights = sum(p.numel() for p in network.parameters() if id(p) not in lookups)
        config = network.config
        return cls(weights, int(getattr(config, "num_hidden_layers", 0)) * int(getattr(config, "hidden_size", 0)))

    def forward(self, lengths: tuple[int, ...]) -> float:
        """Return the operations of one forward pass: 2 per weight and token, and in attention 4 * length * hidden per
        token and layer (Kaplan et al. 2020, table 1).
        """
        return 2.0 * self.weights * sum(lengths) + 4.0 * self.attention * sum(length * length for length in lengths)

    def training(self, lengths: tuple[int, ...], *, recomputed: bool = False) -> float:
        """Return the operations of a forward and a backward pass (2 forwards), plus 1 forward if activations are
        recomputed.
        """
        return (4.0 if recomputed else 3.0) * self.forward(lengths)
