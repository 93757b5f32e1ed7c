"""Every knob of an experiment with its type and range. ``conf/`` fills these classes in; a key that is not here does
not exist.

The composed config is turned into these objects before anything loads; a value out of range stops there, with the key
in the message.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from experiments.errors import ExperimentError
from experiments.negatives.rule import NegativeRule

UNITS = ("groups", "pairs", "tokens")


def _one_of(key: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise ExperimentError(f"{key} is {value!r}: it must be one of {', '.join(str(one) for one in allowed)}")


def _at_least(key: str, value: float | None, least: float, *, strictly: bool = False) -> None:
    if value is not None and (not math.isfinite(value) or value < least or (strictly and value == least)):
        raise ExperimentError(f"{key} is {value}: it must be {'above' if strictly else 'at least'} {least}")


@dataclass
class QueryLimits:
    """How many queries of each split to use; null for all. A smaller sample is part of a larger one."""

    train: int | None = None
    dev: int | None = 200
    test: int | None = None

    def __post_init__(self) -> None:
        for split in ("train", "dev", "test"):
            _at_least(f"data.queries.{split}", getattr(self, split), 1)


@dataclass
class Data:
    """A data set. ``source``: the reader (``_target_``) and its settings. ``min_grade``: the lowest grade that counts
    as relevant. ``carve_dev``: without a dev split, that many training queries become it.
    """

    source: Any = None
    path: str | None = MISSING  # each file of conf/data says null or ???; ??? would not replace a default
    min_grade: int = 1
    queries: QueryLimits = field(default_factory=QueryLimits)
    carve_dev: int = 200

    def __post_init__(self) -> None:
        _at_least("data.min_grade", self.min_grade, 1)
        _at_least("data.carve_dev", self.carve_dev, 0)


@dataclass
class Backbone:
    """Pretrained weights: from an installed registry package (``package``, ``version``, ``folder`` in it, ``sha256`` of
    the weights), or a hub id or local folder (``path``, ``revision``).
    """

    name: str = MISSING
    path: str | None = None
    revision: str | None = None
    package: str | None = None
    version: str | None = None
    folder: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        if (self.path is None) == (self.package is None):
            raise ExperimentError(
                "backbone: give either path (a hub id or a folder) or package (an installed package), not both or none"
            )


@dataclass
class Model:
    """What is trained. ``logits``: 1, or 2 classes as in the papers' code. ``rank_by``: with 2 classes, the score that
    ranks: the ``log_odds`` or the ``positive_logit`` alone (Pradeep 2022). ``dropout``: null keeps the backbone's
    own. ``fresh_pooler``: how BERT's pooler starts if the backbone brings none, as the ``identity`` or ``random``.
    """

    kind: str = "cross_encoder"
    max_length: int = 256
    max_query_tokens: int = 64
    logits: int = 1
    rank_by: str = "log_odds"
    dropout: float | None = None
    fresh_pooler: str = "identity"

    def __post_init__(self) -> None:
        _one_of("model.kind", self.kind, ("cross_encoder",))
        _at_least("model.max_length", self.max_length, 8)
        _at_least("model.max_query_tokens", self.max_query_tokens, 1)
        _one_of("model.logits", self.logits, (1, 2))
        _one_of("model.fresh_pooler", self.fresh_pooler, ("identity", "random"))
        _one_of("model.rank_by", self.rank_by, ("log_odds", "positive_logit"))
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ExperimentError(f"model.dropout is {self.dropout}: it must be from 0 to below 1, or null")
        if self.rank_by == "positive_logit" and self.logits == 1:
            raise ExperimentError(
                "model.rank_by=positive_logit needs model.logits=2: one logit is the log-odds already"
            )


@dataclass
class Negatives(NegativeRule):
    """A sampling rule and the retriever (a key of ``retrievers``) whose run it samples from."""

    name: str = "uniform"
    source: str = "bm25"


@dataclass
class Batch:
    """The size of a training step in ``queries`` (groups) or ``pairs``. ``checkpoint``: recompute activations in the
    backward pass, for groups that do not fit into memory.
    """

    unit: str = "queries"
    size: int = 16
    checkpoint: bool = False

    def __post_init__(self) -> None:
        _one_of("batch.unit", self.unit, ("queries", "pairs"))
        _at_least("batch.size", self.size, 1)

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
        _one_of("budget.unit", self.unit, UNITS)
        _at_least("budget.size", self.size, 1)


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
        _at_least("optimizer.lr", self.lr, 0, strictly=True)
        _at_least("optimizer.weight_decay", self.weight_decay, 0)
        _at_least("optimizer.eps", self.eps, 0, strictly=True)
        _one_of("optimizer.schedule", self.schedule, ("linear", "constant", "inverse_time"))
        _at_least("optimizer.warmup", self.warmup, 0)
        _at_least("optimizer.clip", self.clip, 0, strictly=True)


@dataclass
class Validation:
    """Dev queries during training. ``times``: how often, evenly, the last time at the end. ``depth``: passages
    re-ranked per query. ``select``: the ``best`` checkpoint by RR@10 on dev, or the ``last``. ``patience``: stop after
    that many validations without a better one; null never stops early.
    """

    times: int = 4
    depth: int = 50
    select: str = "best"
    patience: int | None = None

    def __post_init__(self) -> None:
        _at_least("validation.times", self.times, 1)
        _at_least("validation.depth", self.depth, 1)
        _one_of("validation.select", self.select, ("best", "last"))
        _at_least("validation.patience", self.patience, 1)


@dataclass
class Probe:
    """Layers whose embeddings are measured. Only null is served so far: a list of layers is refused, not ignored."""

    layers: Any = None

    def __post_init__(self) -> None:
        if self.layers is not None:
            raise ExperimentError(
                f"probe.layers is {self.layers}: this version does not probe layers yet, it must be null"
            )


@dataclass
class TokensPerBatch:
    """Tokens of one forward pass in training and scoring; null: what measured fastest on the kind of device."""

    train: int | None = None
    score: int | None = None

    def __post_init__(self) -> None:
        _at_least("trainer.tokens_per_batch.train", self.train, 16)
        _at_least("trainer.tokens_per_batch.score", self.score, 16)


@dataclass
class Trainer:
    """Where and how it runs. Of these only ``precision`` is part of a job's identity."""

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

    def __post_init__(self) -> None:
        _one_of("trainer.precision", self.precision, ("auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true"))
        _one_of("trainer.layout", self.layout, ("auto", "packed", "padded"))
        _at_least("trainer.devices", self.devices, 1)
        _at_least("trainer.threads", self.threads, 1)
        _at_least("trainer.workers", self.workers, 0)
        _at_least("trainer.log_every", self.log_every, 1)


@dataclass
class Logger:
    """Weights & Biases. ``mode``: ``auto`` (online when logged in, else offline), ``online``, ``offline``, or
    ``none``.
    """

    mode: str = "auto"
    project: str = "rerank-ablations"
    entity: str | None = None

    def __post_init__(self) -> None:
        _one_of("logger.mode", self.mode, ("auto", "online", "offline", "disabled", "none"))


@dataclass
class Experiment:
    """One job. The keys read like the sentence that describes it."""

    data: Data = field(default_factory=Data)
    backbone: Backbone = MISSING
    model: Model = field(default_factory=Model)
    loss: Any = None
    negatives: Negatives = field(default_factory=Negatives)
    first_stage: list[str] = field(default_factory=lambda: ["bm25"])
    first_stage_depth: int = 100
    retrievers: dict[str, Any] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    batch: Batch = field(default_factory=Batch)
    optimizer: Optimizer = field(default_factory=Optimizer)
    validation: Validation = field(default_factory=Validation)
    measures: list[str] = field(default_factory=lambda: ["RR@10", "nDCG@10", "R@100", "AP"])
    probe: Probe = field(default_factory=Probe)
    seed: int = 1
    study: str = "adhoc"
    outputs: str = "outputs"
    cache: str = ".cache"
    trainer: Trainer = field(default_factory=Trainer)
    logger: Logger = field(default_factory=Logger)

    def __post_init__(self) -> None:
        _at_least("seed", self.seed, 0)
        _at_least("first_stage_depth", self.first_stage_depth, 1)
        if not self.first_stage:
            raise ExperimentError(
                "first_stage is empty: name at least one retriever whose run is re-ranked, such as [bm25]"
            )
        if len(set(self.first_stage)) != len(self.first_stage):
            raise ExperimentError(f"first_stage names a retriever twice: {self.first_stage}")
        for key, name in [
            ("negatives.source", self.negatives.source),
            *(("first_stage", one) for one in self.first_stage),
        ]:
            if name not in self.retrievers:
                known = ", ".join(sorted(self.retrievers)) or "none"
                raise ExperimentError(
                    f"{key} is {name!r}: it must be one of the composed retrievers ({known}); add it with "
                    f"retriever=[...]"
                )
        self.batch.queries(self.negatives.count)
