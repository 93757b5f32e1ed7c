"""One job: all of its keys together."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from omegaconf import MISSING

from experiments.common.errors import ExperimentError
from experiments.config.audit import Audit, Retrieve
from experiments.config.checks import at_least, at_most, one_of
from experiments.config.data import Backbone, Data, Negatives
from experiments.config.model import Model
from experiments.config.negatives import sources_of
from experiments.config.paper_table import table_of
from experiments.config.probe import Probe
from experiments.config.training import Batch, Budget, Optimizer, Trainer, Validation
from experiments.evaluation.measure_names import resolve

RETRIEVER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
MAX_SEED = 2**32 - 1  # NumPy's generators take no larger one


@dataclass
class Logger:
    """Weights & Biases. ``mode``: ``auto`` (online when logged in, else offline), ``online``, ``offline``, or
    ``none``.
    """

    mode: str = "auto"
    project: str = "rerank-ablations"
    entity: str | None = None

    def __post_init__(self) -> None:
        one_of("logger.mode", self.mode, ("auto", "online", "offline", "disabled", "none"))


@dataclass
class Experiment:
    """One job. The keys read like the sentence that describes it. ``checkpoint``: what ``experiments.probe`` probes,
    ``table``: what a report lays the study's results against (``experiments.config.paper_table``); a training reads
    neither.

    ``measures``: of ir-measures. The first heads tables, chooses checkpoints and decides claims. A passage is relevant
    from ``data.min_grade`` on: at ``data.min_grade=2`` the object holds ``RR(rel=2)@10`` for ``RR@10``, unless ``rel``
    is given; ``probe.measures`` likewise.
    """

    data: Data = field(default_factory=Data)
    backbone: Backbone = MISSING
    model: Model = field(default_factory=Model)
    loss: Any = None
    negatives: Negatives = field(default_factory=Negatives)
    first_stage: list[str] = field(default_factory=lambda: ["bm25"])
    first_stage_depth: int = 100
    first_stage_inject_gold: bool = False
    retrievers: dict[str, Any] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    batch: Batch = field(default_factory=Batch)
    optimizer: Optimizer = field(default_factory=Optimizer)
    validation: Validation = field(default_factory=Validation)
    measures: list[str] = field(default_factory=lambda: ["RR@10", "nDCG@10", "R@100", "AP"])
    probe: Probe = field(default_factory=Probe)
    checkpoint: str | None = None
    audit: Audit = field(default_factory=Audit)
    retrieve: Retrieve = field(default_factory=Retrieve)
    table: Any = None
    seed: int = 1
    scale: str = "mini"
    study: str = "adhoc"
    outputs: str = "outputs"
    cache: str = ".cache"
    trainer: Trainer = field(default_factory=Trainer)
    logger: Logger = field(default_factory=Logger)

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        at_most("seed", self.seed, MAX_SEED)
        at_least("first_stage_depth", self.first_stage_depth, 1)
        if not self.first_stage:
            raise ExperimentError(
                "first_stage is empty: name at least one retriever whose run is re-ranked, such as [bm25]"
            )
        if len(set(self.first_stage)) != len(self.first_stage):
            raise ExperimentError(f"first_stage names a retriever twice: {self.first_stage}")
        for key, name in [
            *(("negatives.source", one) for one in sources_of(self.negatives.source)),
            *(("first_stage", one) for one in self.first_stage),
            *(("audit.sources", one) for mixture in self.audit.sources for one in sources_of(mixture)),
            *((f"retrievers.{key}.candidates_from", one) for key, one in self._candidates()),
        ]:
            if name not in self.retrievers:
                known = sorted(self.retrievers)
                raise ExperimentError(
                    f"{key} is {name!r}: it must be one of the composed retrievers ({', '.join(known) or 'none'}); add "
                    f"it with retriever=[{','.join([*known, name])}]"
                )
        for name in self.retrievers:
            if not RETRIEVER_NAME.fullmatch(name):
                raise ExperimentError(
                    f"retrievers.{name}: a retriever's name stands in the names of files and W&B tables, so it has 1 "
                    f"to 64 letters, digits, '_', '-' or '.'"
                )
        excluded, positive = self.negatives.exclude_grade, self.data.min_grade
        if excluded > positive:
            raise ExperimentError(
                f"negatives.exclude_grade is {excluded}, above data.min_grade={positive}: positives are never drawn as "
                f"negatives; set it to at most {positive}"
            )
        self._check_teacher()
        self._check_of_cross_encoders()
        self.measures = resolve(self.measures, self.data.min_grade)
        probed = resolve(self.probe.measures, self.data.min_grade, "probe.measures")
        self.probe = replace(self.probe, measures=probed)
        if self.probe.layers is not None and self.model.kind != "cross_encoder":
            raise ExperimentError(f"probe.layers is {self.probe.layers!r}: only a cross-encoder's layers are probed")
        if self.table is not None:
            table_of(self.table)
        self.batch.queries(self.negatives.count)

    @property
    def learns_from_teacher(self) -> bool:
        """Whether the loss compares with the scores of a trained cross-encoder, its ``teacher``."""
        return isinstance(self.loss, Mapping) and "teacher" in self.loss

    def _check_of_cross_encoders(self) -> None:
        """Refuse settings that another kind of model would accept, record and ignore."""
        kind = self.model.kind
        if kind == "cross_encoder":
            return
        if self.batch.checkpoint:
            raise ExperimentError(
                f"batch.checkpoint=true recomputes the activations of a cross-encoder; model={kind} keeps them: set "
                f"batch.checkpoint=false"
            )
        if self.model.fresh_pooler != "identity":
            raise ExperimentError(f"model.fresh_pooler is of a cross-encoder's head, and model={kind} has none")
        if kind == "colbert" and self.trainer.layout == "packed":
            raise ExperimentError("trainer.layout=packed: model=colbert is computed with padding; set it to auto")

    def _check_teacher(self) -> None:
        if not self.learns_from_teacher:
            if isinstance(self.loss, Mapping) and "job" in self.loss:
                raise ExperimentError(f"loss.job does not exist: loss={self.loss.get('name')} learns from no teacher")
            return
        name, kind = self.loss.get("name"), self.model.kind
        if kind != "cross_encoder":
            distil = " and model.dual_encoder.distil=margin_mse or kl" if kind == "dual_encoder" else ""
            raise ExperimentError(
                f"loss={name} learns from a teacher, which only model=cross_encoder does: with model={kind} choose a "
                f"loss without one, such as loss=lce{distil}"
            )
        if self.loss["teacher"] is None and self.loss.get("job") is None:
            raise ExperimentError(
                f"loss.teacher is null, but loss={name} learns from it: set it to the folder model of a finished "
                f"cross-encoder job, or loss.job to the overrides of one to be trained first"
            )

    def steps(self) -> int | None:
        """Optimiser steps of a budget in groups or pairs; None for one in tokens, which the texts decide."""
        if self.budget.unit == "tokens":
            return None
        per_group = 1 if self.budget.unit == "groups" else self.negatives.count + 1
        return self.whole_steps(math.ceil(self.budget.size / (self.batch.queries(self.negatives.count) * per_group)))

    def whole_steps(self, steps: int) -> int:
        """Steps rounded up to a multiple of ``validation.times``, so that the last validation sees the last weights."""
        return math.ceil(steps / self.validation.times) * self.validation.times

    def _candidates(self) -> list[tuple[str, str]]:
        return [(key, one["candidates_from"]) for key, one in self.retrievers.items() if one.get("candidates_from")]
