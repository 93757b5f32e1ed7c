"""Declare all keys of one job together."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from experiments.common.checks import at_least, at_most
from experiments.common.errors import ExperimentError, shown
from experiments.config.audit import Audit, Retrieve
from experiments.config.compute import (
    INCIDENTAL_CALLBACKS,
    INCIDENTAL_TRAINER_ARGUMENTS,
    Compute,
    Trainer,
    check_callbacks,
    check_logger,
)
from experiments.config.data import Backbone, Data, Negatives
from experiments.config.depths import depths_of
from experiments.config.init_from import NONE, InitFrom
from experiments.config.job_overrides import check_job
from experiments.config.model import Model
from experiments.config.negatives import RUN_SCORES, sources_of
from experiments.config.paper_table import table_of
from experiments.config.probe import Probe
from experiments.config.retriever_references import is_run_file, references
from experiments.config.run_files import RunFiles
from experiments.config.teacher_file import TeacherFile, is_default, names_file, teacher_file_of
from experiments.config.test_sets import TestSet
from experiments.config.training import (
    Batch,
    Budget,
    Optimization,
    Optimizer,
    Validation,
    check_scheduler,
    linear_schedule,
)
from experiments.config.values import check_folder, check_name, check_path
from experiments.data.splits import TRAIN
from experiments.evaluation.measure_names import resolve

if TYPE_CHECKING:
    AnyModel = Model
else:
    AnyModel = Any  # a typed field of OmegaConf takes no other class; config.compose makes it a Model

RETRIEVER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
MAX_SEED = 2**32 - 1  # NumPy's generators take no larger one


@dataclass
class Experiment:
    """One job.

    Field metadata excludes values from a job's identity (``experiments.config.identity``): the whole field
    (``identity=False``), ``incidental`` keys of its value, or a field that a training does not read
    (``training=False``).
    """

    data: Data = field(default_factory=Data)
    """The collection, its queries and judgements."""
    backbone: Backbone = MISSING
    """The pretrained weights that training starts from."""
    init_from: InitFrom = field(default_factory=InitFrom, metadata={"absent_at": NONE})
    """A finished job whose model it starts from instead: the first of two stages of training."""
    model: AnyModel = field(default=MISSING, metadata={"by_target": True})
    """The model that is trained: its class by ``_target_``, and the keys of that class."""
    loss: Any = None
    """The loss over a group: ``name`` and ``logits`` (1, or 2 classes), the function ``fn`` by ``_target_`` with its
    settings, and for a loss that learns from a teacher ``teacher`` (a cross-encoder, or a file of scores), ``job`` and
    ``teacher_file``."""
    negatives: Negatives = field(default_factory=Negatives)
    """The rule by which negatives are drawn."""
    first_stage: list[str] = field(default_factory=lambda: ["bm25"])
    """Keys of ``retrievers``; every trained model re-ranks the test run of each."""
    first_stage_depth: Any = 100
    """Passages of a first stage that are re-ranked per test query: a number, or a rising list such as ``[10, 20, 50]``.
    The largest depth is the job's result; what re-ranking fewer gives is measured from the same scores."""
    first_stage_inject_gold: bool = False
    """Add the answers that a first stage missed to its candidates: an oracle."""
    retrievers: dict[str, Any] = field(default_factory=dict)
    """Possible sources of negatives and first stages: name -> class (``_target_``) and its settings."""
    budget: Budget = field(default_factory=Budget)
    """Length of the training."""
    batch: Batch = field(default_factory=Batch)
    """The size of a step."""
    optimizer: Optimizer = field(default_factory=Optimizer)
    """The optimiser by ``_target_``, with its learning rate."""
    scheduler: dict[str, Any] = field(default_factory=linear_schedule)
    """The learning rate's course: a function of ``experiments.models.schedules`` by ``_target_``, with its settings."""
    validation: Validation = field(default_factory=Validation)
    """Choice of the checkpoint on dev."""
    measures: list[str] = field(default_factory=lambda: ["RR@10", "nDCG@10", "R@100", "AP"])
    """Measures of ir-measures. The first heads tables, chooses checkpoints and decides claims. A passage is relevant
    from ``data.min_grade`` on: at ``data.min_grade=2`` the object holds ``RR(rel=2)@10`` for ``RR@10``, unless ``rel``
    is given."""
    probe: Probe = field(default_factory=Probe)
    """Layers whose embeddings are measured."""
    checkpoint: str | None = field(default=None, metadata={"training": False})
    """Folder or hub id of the model that ``experiments.probe`` probes; a training does not read it."""
    audit: Audit = field(default_factory=Audit, metadata={"training": False})
    """Settings of ``experiments.audit``."""
    retrieve: Retrieve = field(default_factory=Retrieve, metadata={"training": False})
    """Settings of ``experiments.retrieve``."""
    tests: dict[str, Any] = field(default_factory=dict, metadata={"identity": False})
    """Further test sets: name -> collection, first stages and measures. Each finished model is measured on all of them,
    in a job of its own, so that a test set may be added later."""
    test_set: str | None = field(default=None, metadata={"identity": False})
    """Name of the data in tables; null for the collection's. The jobs of ``tests`` have it."""
    table: Any = field(default=None, metadata={"identity": False})
    """Published values and claims for the study's report (``experiments.config.paper_table``)."""
    seed: int = 1
    """Seed of the head's first weights, the order of the queries, the negatives and dropout; 0 to 4294967295."""
    scale: str = field(default="mini", metadata={"training": False})
    """Sizes of the whole setting: ``mini`` (a CPU, minutes) or ``paper`` (GPUs)."""
    variant: str | None = field(default=None, metadata={"identity": False})
    """Name of this setting in tables, for a study of settings that differ in many keys; null for none."""
    study: str = field(default="adhoc", metadata={"identity": False})
    """The study that the job belongs to: results go to ``outputs/<study>/<job>``."""
    outputs: str = field(default="outputs", metadata={"identity": False})
    """Folder of all studies."""
    cache: str = field(default=".cache", metadata={"identity": False})
    """Folder of collections, tokens, indexes and runs, each made once."""
    run_files: RunFiles = field(default_factory=RunFiles, metadata={"identity": False})
    """How run files are written."""
    trainer: Trainer = field(default_factory=Trainer, metadata={"incidental": INCIDENTAL_TRAINER_ARGUMENTS})
    """Arguments of Lightning's Trainer."""
    compute: Compute = field(default_factory=Compute, metadata={"identity": False})
    """Threads, workers, and the sizes of forward passes."""
    callbacks: dict[str, Any] = field(default_factory=dict, metadata={"incidental": INCIDENTAL_CALLBACKS})
    """Lightning callbacks: name -> class (``_target_``) and its settings, or null for none."""
    logger: Any = field(default=None, metadata={"identity": False})
    """A Lightning logger by ``_target_``, or null; the job's folder has everything either way."""

    def __post_init__(self) -> None:
        check_folder("study", self.study)
        for key, check in (("outputs", check_path), ("cache", check_path), ("checkpoint", check_path),
                           ("variant", check_name), ("test_set", check_name)):  # fmt: skip
            check(key, getattr(self, key))
        at_least("seed", self.seed, 0)
        at_most("seed", self.seed, MAX_SEED)
        self._check_parts_are_mappings()
        depths_of(self.first_stage_depth)
        if not self.first_stage:
            raise ExperimentError(
                "first_stage is empty: name at least one retriever whose run is re-ranked, such as [bm25]"
            )
        if len(set(self.first_stage)) != len(self.first_stage):
            raise ExperimentError(f"first_stage names a retriever twice: {self.first_stage}")
        for key, name in [
            *(("negatives.source", source) for source in self.negative_sources),
            *(("first_stage", retriever) for retriever in self.first_stage),
            *(("audit.sources", source) for mixture in self.audit.sources for source in sources_of(mixture)),
            *(
                (f"retrievers.{retriever}.{key}", name)
                for retriever, part in self.retrievers.items()
                for key, name in references(part)
            ),
        ]:
            if name not in self.retrievers:
                known = sorted(self.retrievers)
                raise ExperimentError(
                    f"{key} is {name!r}: it must be one of the composed retrievers ({', '.join(known) or 'none'}); add "
                    f"it with retriever=[{','.join([*known, name])}]"
                )
        if unfit := [name for name in self.retrievers if not RETRIEVER_NAME.fullmatch(name)]:
            raise ExperimentError(
                f"retrievers.{unfit[0]}: a retriever's name is part of the names of files and W&B tables, so it has 1 "
                f"to 64 letters, digits, '_', '-' or '.'"
            )
        excluded, positive = self.negatives.exclude_grade, self.data.min_grade
        if excluded > positive:
            raise ExperimentError(
                f"negatives.exclude_grade is {excluded}, above data.min_grade={positive}: positives are never drawn as "
                f"negatives; set it to at most {positive}"
            )
        self.trainer.check()
        self.optimizer.check()
        check_scheduler(self.scheduler)
        check_callbacks(self.callbacks)
        check_logger(self.logger)
        for name, test_set in self.tests.items():
            assert isinstance(test_set, TestSet)  # config.compose makes it one
            test_set.check(name)
        for name, part in self.retrievers.items():
            check_job(f"retrievers.{name}.job", part.get("job"))
        self.model.check(self)
        if self.data.measured_on == TRAIN and self.model.trains:
            raise ExperimentError(
                f"data.measured_on={TRAIN} measures on the queries that model={self.model.name} learns from: set it to "
                f"test, or measure a trained model, with model=checkpoint"
            )
        self._check_teacher()
        self.measures = resolve(self.measures, self.data.min_grade)
        of_probe = resolve(self.probe.measures, self.data.min_grade, "probe.measures")
        self.probe = replace(self.probe, measures=of_probe)
        if self.table is not None:
            table_of(self.table)
        self.batch.check_shared(self.negatives.count, self.trainer.devices if self.model.trains else 1)

    def _check_parts_are_mappings(self) -> None:
        """Raise ExperimentError for a part without keys of its own, such as ``retrievers.bm25=x``."""
        loss = self.loss if isinstance(self.loss, Mapping) else {}
        parts = {"loss": self.loss, "loss.fn": loss.get("fn"), "data.source": self.data.source}
        parts = {key: part for key, part in parts.items() if part is not None}
        for key, part in {**parts, **{f"retrievers.{name}": part for name, part in self.retrievers.items()}}.items():
            if not isinstance(part, Mapping):
                raise ExperimentError(f"{key} is {shown(part)}: it must have the keys of a part, _target_ among them")
        check_folder("loss.name", loss.get("name", "none"))

    @property
    def learns_from_teacher(self) -> bool:
        """Whether the loss uses a ``teacher``: the scores of a trained cross-encoder, or of a file."""
        return isinstance(self.loss, Mapping) and "teacher" in self.loss

    @property
    def depths(self) -> tuple[int, ...]:
        """The depths of re-ranking that are measured, ascending."""
        return depths_of(self.first_stage_depth)

    @property
    def rerank_depth(self) -> int:
        """The largest depth of re-ranking: passages of a first stage that are scored per test query."""
        return self.depths[-1]

    @property
    def teacher_file(self) -> TeacherFile | None:
        """How the teacher's file of scores is read; None where the teacher is a model, or there is none."""
        if not self.learns_from_teacher or self.loss["teacher"] is None:
            return None
        from_file = self.teaches_source or names_file(str(self.loss["teacher"]))
        return teacher_file_of(self.loss) if from_file else None

    @property
    def teaches_source(self) -> bool:
        """Whether the teacher is the run file that the negatives come from (``loss.teacher=source``)."""
        return self.learns_from_teacher and self.loss["teacher"] == RUN_SCORES

    @property
    def roles(self) -> set[str]:
        """The retrievers that negatives are drawn from or whose runs are re-ranked."""
        return {*self.negative_sources, *self.first_stage}

    @property
    def negative_sources(self) -> tuple[str, ...]:
        """The retrievers that negatives are drawn from; none for a model that is not trained."""
        return sources_of(self.negatives.source) if self.model.trains else ()

    @property
    def optimization(self) -> Optimization:
        """The optimiser and the schedule of its learning rate."""
        return Optimization(self.optimizer, self.scheduler)

    def _check_teacher(self) -> None:
        if not self.learns_from_teacher:
            for key in ("job", "teacher_file"):
                if isinstance(self.loss, Mapping) and key in self.loss:
                    name = self.loss.get("name")
                    raise ExperimentError(f"loss.{key} does not exist: loss={name} learns from no teacher")
            return
        check_job("loss.job", self.loss.get("job"))
        check_path("loss.teacher", self.loss["teacher"])
        if self.loss["teacher"] is None and self.loss.get("job") is None:
            raise ExperimentError(
                f"loss.teacher is null, but loss={self.loss.get('name')} learns from it: set it to the folder model of "
                f"a finished cross-encoder job or to a file of scores, or loss.job to the overrides of a job to be "
                f"trained first"
            )
        teacher_file_of(self.loss)
        source = self.negatives.source
        if self.model.trains and self.teaches_source and not is_run_file(self.retrievers.get(source) or {}):
            raise ExperimentError(
                f"loss.teacher={RUN_SCORES} learns from the run file that the negatives come from, but "
                f"negatives.source={source} is none: set negatives.source to a run_file or teacher_run"
            )
        if self.teacher_file is None and not is_default(self.loss):
            raise ExperimentError(
                f"loss.teacher_file is of a file of scores, but loss.teacher is {self.loss['teacher']!r}: set "
                f"loss.teacher to the file, or leave loss.teacher_file.* out"
            )

    def steps(self) -> int | None:
        """Return the optimiser steps of a budget in groups or pairs; None for tokens, where the texts decide."""
        if self.budget.unit == "tokens":
            return None
        per_group = 1 if self.budget.unit == "groups" else self.negatives.count + 1
        return self.whole_steps(math.ceil(self.budget.size / (self.batch.queries(self.negatives.count) * per_group)))

    def whole_steps(self, steps: int) -> int:
        """Round steps up to a multiple of ``validation.times``, so that the last validation has the last weights."""
        times = max(1, self.validation.times)
        return math.ceil(steps / times) * times
