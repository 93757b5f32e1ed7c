"""Settings of the data set, the pretrained weights and the negatives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from experiments.common.checks import at_least, one_of
from experiments.common.errors import ExperimentError
from experiments.config.negatives import NegativeRule
from experiments.config.values import REVISION, SHA256, VERSION, check_name, check_path, check_pattern
from experiments.data.query_split import QuerySplit, check_folds
from experiments.data.splits import MEASURED_ON, REPEATED_QUERIES, TEST, WITHOUT_RELEVANT


@dataclass
class QueryLimits:
    """Number of queries of each split. A smaller sample is part of a larger one."""

    train: int | None = None
    """Training queries; null for all."""
    dev: int | None = 200
    """Dev queries; null for all."""
    test: int | None = None
    """Test queries; null for all."""

    def __post_init__(self) -> None:
        for split in ("train", "dev", "test"):
            at_least(f"data.queries.{split}", getattr(self, split), 1)


@dataclass
class Data:
    """A collection, its queries and judgements."""

    source: Any = None
    """The reader by ``_target_``, and its settings."""
    path: str | None = MISSING  # each file of conf/data says null or ???; ??? would not replace a default
    """Folder or file that the reader reads; null where it needs none."""
    min_grade: int = 1
    """Lowest grade of a relevant passage."""
    queries: QueryLimits = field(default_factory=QueryLimits)
    """Number of queries of each split."""
    carve_dev: int = 200
    """Training queries that become dev queries where the collection has none."""
    split: QuerySplit = field(default_factory=QuerySplit)
    """Shares or counts of the judged queries for train, dev and test, for a collection with one file of judgements."""
    folds: int | None = None
    """Folds of a cross-validation; the jobs of all folds are one result, pooled by query."""
    fold: int | None = None
    """The tested fold, from 0: ``data.fold=0,1,2,3,4`` runs all of five."""
    without_relevant: str = "leave_out"
    """Judged queries of dev and test without a relevant passage: ``leave_out`` or ``count_as_zero``."""
    repeated_queries: str = "keep"
    """Training queries with the text of a dev or test query: ``keep`` or ``drop``."""
    ignore_identical_ids: bool | None = None
    """Whether a query that is a passage too may not find itself; null: as the collection has it."""

    measured_on: str = TEST
    """Queries that finished models are measured on: ``test``, or to choose a recipe ``dev``: the dev queries beyond
    those that choose checkpoints (``data.queries.dev``), ``data.queries.test`` of them at most; or ``train``, for a
    model that is not trained: a teacher's ranking. Test queries are not used then."""

    def __post_init__(self) -> None:
        one_of("data.measured_on", self.measured_on, MEASURED_ON)
        one_of("data.without_relevant", self.without_relevant, WITHOUT_RELEVANT)
        one_of("data.repeated_queries", self.repeated_queries, REPEATED_QUERIES)
        check_folds(self.folds, self.fold, self.split)
        if self.folds and self.measured_on != TEST:
            raise ExperimentError("data.folds measures every query once: data.measured_on must be test")
        at_least("data.min_grade", self.min_grade, 1)
        at_least("data.carve_dev", self.carve_dev, 0)
        check_path("data.path", self.path)
        if isinstance(self.source, Mapping):
            check_name("data.source.name", self.source.get("name"))


SHAPE = ("layers", "hidden", "encoder", "embeddings")  # keys of backbone.shape


@dataclass
class Backbone:
    """Pretrained weights: of an installed registry package, or from a hub id or a local folder."""

    name: str = MISSING
    """Name in tables."""
    path: str | None = None
    """A hub id or a local folder; null for a registry package."""
    revision: str | None = None
    """Revision of a hub id; a commit keeps a study repeatable."""
    package: str | None = None
    """An installed registry package that carries weights; null for a hub id or folder."""
    version: str | None = None
    """Version of the package."""
    folder: str | None = None
    """Folder of the weights in the package."""
    sha256: str | None = None
    """Checksum of the weights in the package."""
    shape: dict[str, int] | None = field(default=None, metadata={"identity": False})
    """Sizes of a hub's model for ``study plan``, which downloads nothing: ``layers``, ``hidden``, and how many weights
    its ``encoder`` and its ``embeddings`` have; null where the files are at hand."""

    def __post_init__(self) -> None:
        check_name("backbone.name", self.name)
        for key, place in (("path", self.path), ("package", self.package), ("folder", self.folder)):
            check_path(f"backbone.{key}", place)
        check_pattern("backbone.version", self.version, VERSION, "a version such as 1.2.0")
        check_pattern("backbone.revision", self.revision, REVISION, "a branch, a tag or a commit of the hub")
        check_pattern("backbone.sha256", self.sha256, SHA256, "a checksum of 64 hexadecimal digits")
        if self.shape is not None and not isinstance(self.shape, Mapping):
            raise ExperimentError(f"backbone.shape is {self.shape!r}: it must have the keys {', '.join(SHAPE)}")
        for name, size in (self.shape or {}).items():
            at_least(f"backbone.shape.{name}", size, 0)
        if self.shape is not None:
            one_of("the keys of backbone.shape", sorted(self.shape), (sorted(SHAPE),))
        if (self.path is None) == (self.package is None):
            raise ExperimentError(
                "backbone: give either backbone.path=... (a hub id or a folder) or backbone.package=... (an installed "
                "package), not both or none"
            )


@dataclass
class Negatives(NegativeRule):
    """A sampling rule with a name; its sources are keys of ``retrievers``."""

    name: str = "uniform"
    """Name of the rule in tables."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("negatives.name", self.name)
