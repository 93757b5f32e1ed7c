"""Settings of a training: the size of a step, the budget, the optimiser, validation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.common.checks import at_least, one_of
from experiments.common.errors import ExperimentError
from experiments.config.keys import check_moved
from experiments.config.part import OpenPart

UNITS = ("groups", "pairs", "tokens")


@dataclass
class Batch:
    """The size of a training step."""

    unit: str = "queries"
    """What ``size`` counts: ``queries`` (groups of one positive and its negatives) or ``pairs``."""
    size: int = 16
    """Queries or pairs of one optimiser step, over all devices. Long steps are split into forward passes by
    ``compute.tokens_per_batch``, so no gradient accumulation is needed."""
    checkpoint: bool = False
    """Recompute activations in the backward pass, for groups that do not fit into memory; cross-encoders only."""

    def __post_init__(self) -> None:
        one_of("batch.unit", self.unit, ("queries", "pairs"))
        at_least("batch.size", self.size, 1)

    def queries(self, negatives: int) -> int:
        """Return the groups of a step, or raise ExperimentError if a batch in pairs is not a whole number of groups."""
        if self.unit == "queries":
            return self.size
        if self.size % (negatives + 1):
            raise ExperimentError(
                f"batch.size={self.size} pairs is no multiple of a group's {negatives + 1} "
                f"(negatives.count={negatives})"
            )
        return self.size // (negatives + 1)

    def check_shared(self, negatives: int, devices: int) -> None:
        """Raise ExperimentError unless a step is a whole number of groups on each device."""
        queries = self.queries(negatives)
        if queries % devices:
            raise ExperimentError(
                f"trainer.devices={devices} cannot evenly share the {queries} queries of a step: set a divisor of "
                f"{queries}, or batch.size to a multiple"
            )


@dataclass
class Budget:
    """Length of a training; rounded up to whole steps between validations."""

    unit: str = "groups"
    """What ``size`` counts: ``groups`` as the papers do, ``pairs`` or ``tokens`` for equal computing."""
    size: int = 1000
    """Groups, pairs or tokens of the whole training."""

    def __post_init__(self) -> None:
        one_of("budget.unit", self.unit, UNITS)
        at_least("budget.size", self.size, 1)


@dataclass(eq=False, repr=False)
class Optimizer(OpenPart):
    """The optimiser of a training; any argument of its class can be added, such as ``+optimizer.eps=1e-6``."""

    _target_: str = "torch.optim.AdamW"
    """A subclass of ``torch.optim.Optimizer``."""
    lr: float = 2e-5
    """Peak learning rate, above 0; the scheduler multiplies it at each step."""
    weight_decay: float = 0.01
    """Decay of the weights, not of biases and normalisation weights."""
    clip: float | None = 1.0
    """Largest norm of all gradients together, above 0; null for no clipping. The optimiser does not get this key."""

    def __post_init__(self) -> None:
        at_least("optimizer.lr", self.lr, 0, strictly=True)
        at_least("optimizer.weight_decay", self.weight_decay, 0)
        at_least("optimizer.clip", self.clip, 0, strictly=True)

    def check(self) -> None:
        """Raise ExperimentError for arguments that another key sets, and for values that no optimiser takes."""
        for name in self.added():
            check_moved(f"optimizer.{name}")
        at_least("optimizer.eps", self.added().get("eps"), 0, strictly=True)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the optimiser's class."""
        return {name: value for name, value in super().arguments().items() if name != "clip"}


def linear_schedule() -> dict[str, Any]:
    """Return the scheduler of an experiment that names none."""
    return {"_target_": "experiments.models.schedules.linear"}


def check_scheduler(scheduler: Mapping[str, Any]) -> None:
    """Raise ExperimentError for a scheduler without a function, and for settings below 0."""
    if "_target_" not in scheduler:
        raise ExperimentError("scheduler has no _target_, the schedule: choose a file of conf/scheduler")
    for name in ("warmup", "decay"):
        value = scheduler.get(name)
        if value is not None and not isinstance(value, int | float):
            raise ExperimentError(f"scheduler.{name} is {value!r}: it must be a number")
        at_least(f"scheduler.{name}", value, 0)


@dataclass(frozen=True)
class Optimization:
    """The optimiser and the schedule of its learning rate, for a model's LightningModule."""

    optimizer: Optimizer = field(default_factory=Optimizer)
    scheduler: Mapping[str, Any] = field(default_factory=linear_schedule)


@dataclass
class Validation:
    """Settings of the validation on dev queries during training."""

    times: int = 4
    """Number of validations, evenly spaced; the last one is at the end of the training. 0 for none, where the ``last``
    weights are kept."""
    depth: int = 50
    """Passages of the first stage that are re-ranked per dev query."""
    select: str = "best"
    """The final weights: the ``best`` by the first of ``measures`` on dev, or the ``last``."""

    def __post_init__(self) -> None:
        at_least("validation.times", self.times, 0)
        at_least("validation.depth", self.depth, 1)
        one_of("validation.select", self.select, ("best", "last"))
        if self.times == 0 and self.select == "best":
            raise ExperimentError("validation.times=0 chooses no checkpoint: set validation.select=last")
