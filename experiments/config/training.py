"""How it is trained: the size of a step, the budget, the optimiser, validation, devices."""

from dataclasses import dataclass, field

from experiments.common.errors import ExperimentError
from experiments.config.checks import at_least, one_of

UNITS = ("groups", "pairs", "tokens")


@dataclass
class Batch:
    """The size of a training step in ``queries`` (groups) or ``pairs``. ``checkpoint``: recompute activations in the
    backward pass, for groups that do not fit into memory.
    """

    unit: str = "queries"
    size: int = 16
    checkpoint: bool = False

    def __post_init__(self) -> None:
        one_of("batch.unit", self.unit, ("queries", "pairs"))
        at_least("batch.size", self.size, 1)

    def queries(self, negatives: int) -> int:
        """Groups of a step.

        Raises:
            ExperimentError: a batch in pairs that is not a whole number of groups.
        """
        if self.unit == "queries":
            return self.size
        if self.size % (negatives + 1):
            raise ExperimentError(
                f"batch.size={self.size} pairs is no multiple of a group's {negatives + 1} "
                f"(negatives.count={negatives})"
            )
        return self.size // (negatives + 1)


@dataclass
class Budget:
    """How much training, in ``groups``, ``pairs`` or ``tokens``; rounded up to whole steps between validations."""

    unit: str = "groups"
    size: int = 1000

    def __post_init__(self) -> None:
        one_of("budget.unit", self.unit, UNITS)
        at_least("budget.size", self.size, 1)


@dataclass
class Optimizer:
    """AdamW. ``warmup``: a share of the steps if below 1, else a number of steps. ``decay``: rate of the inverse-time
    schedule. ``clip``: largest gradient norm, null for none.
    """

    lr: float = 2e-5
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    schedule: str = "linear"
    warmup: float = 0.1
    decay: float = 1.0
    clip: float | None = 1.0

    def __post_init__(self) -> None:
        at_least("optimizer.lr", self.lr, 0, strictly=True)
        at_least("optimizer.weight_decay", self.weight_decay, 0)
        at_least("optimizer.eps", self.eps, 0, strictly=True)
        one_of("optimizer.schedule", self.schedule, ("linear", "constant", "inverse_time"))
        at_least("optimizer.warmup", self.warmup, 0)
        at_least("optimizer.clip", self.clip, 0, strictly=True)


@dataclass
class Validation:
    """Dev queries during training. ``times``: how often, evenly, the last time at the end. ``depth``: passages
    re-ranked per query. ``select``: the ``best`` checkpoint by the first of ``measures``, or the ``last``.
    ``patience``: stop after that many validations without a better one; null never stops early.
    """

    times: int = 4
    depth: int = 50
    select: str = "best"
    patience: int | None = None

    def __post_init__(self) -> None:
        at_least("validation.times", self.times, 1)
        at_least("validation.depth", self.depth, 1)
        one_of("validation.select", self.select, ("best", "last"))
        at_least("validation.patience", self.patience, 1)


@dataclass
class TokensPerBatch:
    """Tokens of one forward pass in training and scoring; null: what measured fastest on the kind of device."""

    train: int | None = None
    score: int | None = None

    def __post_init__(self) -> None:
        at_least("trainer.tokens_per_batch.train", self.train, 16)
        at_least("trainer.tokens_per_batch.score", self.score, 16)


@dataclass
class Trainer:
    """Where and how it runs. Of these only ``precision`` is part of a job's identity. ``checkpoint_minutes``: how much
    work may be lost to a kill; a checkpoint is also written at each validation and when the job is told to stop.
    """

    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    workers: int = 0
    deterministic: bool = True
    layout: str = "auto"
    tokens_per_batch: TokensPerBatch = field(default_factory=TokensPerBatch)
    log_every: int = 10
    checkpoint_minutes: float = 5.0

    def __post_init__(self) -> None:
        if self.precision in ("bf16-true", "16-true"):
            raise ExperimentError(
                f"trainer.precision={self.precision} would keep the weights in half precision, where most steps of "
                f"AdamW are rounded away: set trainer.precision={self.precision.replace('true', 'mixed')}"
            )
        one_of("trainer.precision", self.precision, ("auto", "32-true", "bf16-mixed", "16-mixed"))
        one_of("trainer.layout", self.layout, ("auto", "packed", "padded"))
        at_least("trainer.devices", self.devices, 1)
        at_least("trainer.threads", self.threads, 1)
        at_least("trainer.workers", self.workers, 0)
        at_least("trainer.log_every", self.log_every, 1)
        at_least("trainer.checkpoint_minutes", self.checkpoint_minutes, 0)
