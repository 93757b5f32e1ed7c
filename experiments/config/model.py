"""Declare the keys that all models share and the interface of a model.

A model is one folder, ``experiments/models/<name>``. Its ``config.py`` extends ``Model`` with keys and builds the
model; a file of ``conf/model`` chooses it by ``_target_``.
"""

import importlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from omegaconf import MISSING

from experiments.common.checks import at_least, one_of
from experiments.common.errors import ExperimentError
from experiments.config.compute import INT8
from experiments.config.negatives import RUN_ORDER
from experiments.config.values import check_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from experiments.common.cache import Cache
    from experiments.config.experiment import Experiment
    from experiments.data.collection import Collection
    from experiments.data.run import Run
    from experiments.models.training_setup import TrainingInputs, TrainingSetup
    from experiments.pretrained.source import Source
    from experiments.retrieval.pair_vectors import Pairs
    from experiments.retrieval.vector_store import PassageEncoder


class TrainedRetriever(Protocol):
    """A retriever (``experiments.retrieval.retriever.Retriever``) that also scores the pairs of other runs."""

    name: str
    """Name of its runs."""

    @property
    def encoder(self) -> "PassageEncoder":
        """What encodes passages."""
        ...

    def fingerprint(self) -> Mapping[str, Any]:
        """Return all settings and versions that decide the results, as JSON."""
        ...

    def retrieve(self, collection: "Collection", queries: "NDArray[np.int64]", depth: int, store: "Cache") -> "Run":
        """Return the best ``depth`` passages of each query row."""
        ...

    def pair_scores(
        self, collection: "Collection", run: "Run", store: "Cache", *, whole: bool = False
    ) -> "NDArray[np.float32]":
        """Return one score for each passage of a run. ``whole``: encode the whole collection first."""
        ...

    def open_pairs(self, collection: "Collection", run: "Run", store: "Cache", *, whole: bool = False) -> "Pairs":
        """Return the pairs of a run with the vectors of their passages."""
        ...

    def score_pairs(self, collection: "Collection", pairs: "Pairs") -> "NDArray[np.float32]":
        """Encode the queries, and return one score for each pair."""
        ...


@dataclass
class Model(ABC):
    """Keys and abilities of a model. All keys are part of a job's identity."""

    _target_: str = MISSING
    """The class of this config, such as ``experiments.models.colbert.config.ColBERTConfig``."""
    name: str = MISSING
    """Name in labels and in the names of jobs."""
    max_length: int = 256
    """Tokens of a passage, special tokens included; of a whole pair for a cross-encoder."""
    max_query_tokens: int = 64
    """Tokens of a query; a longer one is cut."""
    logits: int = 1
    """Outputs of the head: 1, or 2 classes as in the papers' code; the loss says which."""
    dropout: float | None = None
    """Rate of every dropout; null keeps the backbone's own."""

    # Abilities of the model. A setting that needs another one is refused.
    trains: ClassVar[bool] = True
    """Whether it is trained first, rather than measured as it is."""
    unnamed: ClassVar[bool] = False
    """Whether labels and names of jobs omit the model's name."""
    two_logits: ClassVar[bool] = False
    """Whether it takes a loss of two classes."""
    recomputes: ClassVar[bool] = False
    """Whether it takes ``batch.checkpoint``: it computes activations again in the backward pass."""
    rounds: ClassVar[bool] = False
    """Whether it can re-rank in 8-bit integers."""
    packs: ClassVar[bool] = False
    """Whether it can compute without padding."""
    probed: ClassVar[bool] = False
    """Whether its layers can be probed."""
    takes_lists: ClassVar[bool] = False
    """Whether it scores groups with their positives anywhere (``negatives.draw=run_order``)."""
    takes_teacher: ClassVar[bool] = False
    """Whether it trains with a loss that uses a teacher's scores."""
    instead_of_teacher: ClassVar[str] = ""
    """Its own settings for learning from a cross-encoder, for the message that refuses such a loss."""
    teaches: ClassVar[bool] = False
    """Whether other models can learn from it."""
    retrieves: ClassVar[bool] = False
    """Whether it searches the whole collection (``as_retriever``)."""
    goes_on: ClassVar[bool] = False
    """Whether its training may start from a trained model of its own kind (``init_from``)."""
    trained_by: ClassVar[Mapping[str, str]] = {}
    """Key of a prerequisite job -> key of the model that the job trains, such as job -> cross_encoder."""
    code: ClassVar[Mapping[str, int]] = {}
    """Version of each further module that decides its numbers (``code_versions``). A model that names none of its own
    modules counts by the digest of their source.
    """

    def __post_init__(self) -> None:
        check_folder("model.name", self.name)
        at_least("model.max_length", self.max_length, 8)
        at_least("model.max_query_tokens", self.max_query_tokens, 1)
        one_of("model.logits", self.logits, (1, 2))
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ExperimentError(f"model.dropout is {self.dropout}: it must be from 0 to below 1, or null")
        if self.logits != 1 and not self.two_logits:
            raise ExperimentError(
                f"model={self.name} has one score for a pair: choose a loss with one logit, such as loss=lce"
            )

    @abstractmethod
    def build(self, inputs: "TrainingInputs") -> "TrainingSetup":
        """Return the LightningModule and the data that it trains on.

        Raises:
            ExperimentError: weights or a tokenizer cannot be loaded or do not fit the settings.
        """

    @abstractmethod
    def check_backbone(self, source: "Source") -> None:
        """Refuse a backbone that does not fit, without loading its weights."""

    def check_start(self, source: "Source") -> None:
        """Refuse a folder that holds no trained model of this kind; a model whose training ``goes_on`` defines it."""
        raise NotImplementedError(self.name)

    def check(self, experiment: "Experiment") -> None:
        """Refuse settings of other groups that this model would ignore."""
        if not self.trains:
            self._check_evaluation(experiment)
            return
        if experiment.init_from.given and not self.goes_on:
            raise ExperimentError(
                f"init_from starts a training from a trained model, which model={self.name} does not: leave it out, or "
                f"choose model=cross_encoder or model=colbert"
            )
        if experiment.batch.checkpoint and not self.recomputes:
            raise ExperimentError(
                f"batch.checkpoint=true recomputes the activations of a cross-encoder; model={self.name} keeps them: "
                f"set batch.checkpoint=false"
            )
        self._check_evaluation(experiment)
        if experiment.negatives.draw == RUN_ORDER and not self.takes_lists:
            raise ExperimentError(
                f"negatives.draw={RUN_ORDER} has positives anywhere in a list, which only model=cross_encoder trains "
                f"on: with model={self.name} choose a rule that draws, such as negatives=uniform"
            )
        if experiment.learns_from_teacher and not self.takes_teacher:
            raise ExperimentError(
                f"loss={experiment.loss.get('name')} learns from a teacher, which only model=cross_encoder does: with "
                f"model={self.name} choose a loss without one, such as loss=lce{self.instead_of_teacher}"
            )

    def _check_evaluation(self, experiment: "Experiment") -> None:
        """Refuse settings that a measured model would ignore, trained or not."""
        layout = experiment.compute.layout
        if layout in ("packed", "compiled") and not self.packs:
            raise ExperimentError(
                f"compute.layout={layout}: model={self.name} is computed with padding; set it to auto"
            )
        if experiment.trainer.precision == INT8 and not self.rounds:
            raise ExperimentError(
                f"trainer.precision={INT8} is of a cross-encoder that re-ranks: with model={self.name} set it to auto"
            )
        if experiment.probe.layers is not None and not self.probed:
            raise ExperimentError(
                f"probe.layers is {experiment.probe.layers!r}: only a cross-encoder's layers are probed"
            )

    def labels(self) -> dict[str, Any]:
        """Return labels that distinguish its trainings in tables and W&B tags."""
        return {} if self.unnamed else {"model": self.name}

    def prerequisites(self) -> dict[str, Any]:
        """Return the jobs that must train a model for this one first: key of the job -> its overrides."""
        return {}

    def reads(self) -> dict[str, str]:
        """Return the trained models that it reads: key -> folder or hub id."""
        return {}

    @property
    def learns_from_teacher(self) -> bool:
        """Whether the models that it ``reads`` are also read during training, heads included."""
        return False

    @property
    def second_stage(self) -> str | None:
        """Folder or hub id of the cross-encoder that re-ranks what this model retrieves; None for none."""
        return None

    def as_retriever(self, folder: Path) -> TrainedRetriever | None:
        """Return the trained model of a folder as a retriever; None for a model that only re-ranks."""
        return None


def class_of(target: Any) -> type[Model]:
    """Return the class of a model's config by its ``_target_``.

    Raises:
        ExperimentError: there is no such class, or it is no model.
    """
    if not isinstance(target, str) or "." not in target:
        raise ExperimentError("model has no _target_: choose one of the files of conf/model, such as model=colbert")
    module, _, name = target.rpartition(".")
    try:
        model = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ExperimentError(f"model._target_: {target} cannot be imported ({error})") from error
    if not (inspect.isclass(model) and issubclass(model, Model)) or inspect.isabstract(model):
        raise ExperimentError(
            f"model._target_: {target} is no model: it must be a dataclass that extends experiments.config.model.Model "
            f"and defines build and check_backbone"
        )
    return model


def trains(model: Mapping[str, Any]) -> bool:
    """Return whether the model of a config is trained."""
    return class_of(model.get("_target_")).trains


def prefix_of(model: Mapping[str, Any]) -> str:
    """Return the prefix of a job's name: the name of its model, unless that is omitted."""
    return "" if class_of(model.get("_target_")).unnamed else f"{model['name']}-"
