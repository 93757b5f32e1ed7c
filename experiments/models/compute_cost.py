"""What a training really spent: groups, pairs, tokens, seconds, and an estimate of floating-point operations."""

from dataclasses import asdict, dataclass

from torch import nn


@dataclass(frozen=True)
class Step:
    """What one device read and computed at one step.

    ``shape_QN``: groups and passages a group. ``tokens``: of all texts or pairs, special tokens included;
    ``computed_tokens``: with padding, as computed; ``flops``: an estimate.
    """

    shape_QN: tuple[int, int]
    tokens: int
    computed_tokens: int
    flops: float


@dataclass
class Spent:
    """Running totals over all ranks' steps so far, kept in the checkpoint so that a resumed job counts on.

    ``tokens``: of pairs, special tokens included. ``computed_tokens``: the same with padding, as computed.
    """

    steps: int = 0
    groups: int = 0
    pairs: int = 0
    tokens: int = 0
    computed_tokens: int = 0
    seconds: float = 0.0
    flops: float = 0.0

    def count(self, step: Step, ranks: int) -> None:
        """Add one step. Every rank has the same number of groups; tokens and operations of the others are taken as this
        rank's.
        """
        queries, passages = step.shape_QN
        self.steps += 1
        self.groups += queries * ranks
        self.pairs += queries * passages * ranks
        self.tokens += step.tokens * ranks
        self.computed_tokens += step.computed_tokens * ranks
        self.flops += step.flops * ranks

    def as_dict(self) -> dict[str, float]:
        """The totals and the share of computed tokens that were padding."""
        waste = 1 - self.tokens / self.computed_tokens if self.computed_tokens else 0.0
        return {**asdict(self), "padding_waste": waste}


@dataclass(frozen=True)
class CostModel:
    """Floating-point operations of an encoder, as the algorithm has them: what a packed pass leaves out of the last
    layer (see ``packing``) is counted all the same, so that jobs compare whatever computed them. ``weights``:
    parameters that every token is multiplied with (embeddings are looked up, not multiplied). ``attention``: layers
    times hidden size.
    """

    weights: int
    attention: int

    @classmethod
    def of(cls, network: nn.Module) -> "CostModel":
        """Read off a Hugging Face model."""
        lookups = {
            id(p) for module in network.modules() if isinstance(module, nn.Embedding) for p in module.parameters()
        }
        weights = sum(p.numel() for p in network.parameters() if id(p) not in lookups)
        config = network.config
        return cls(weights, int(getattr(config, "num_hidden_layers", 0)) * int(getattr(config, "hidden_size", 0)))

    def forward(self, lengths: tuple[int, ...]) -> float:
        """Of one forward pass: 2 per weight and token, and 4 * length * hidden per token and layer in attention (Kaplan
        et al. 2020, table 1).
        """
        return 2.0 * self.weights * sum(lengths) + 4.0 * self.attention * sum(length * length for length in lengths)

    def training(self, lengths: tuple[int, ...], *, recomputed: bool = False) -> float:
        """Of a forward and a backward pass (twice the forward), and once more forward if activations are recomputed."""
        return (4.0 if recomputed else 3.0) * self.forward(lengths)
