"""What goes in: the data set, the pretrained weights, the negatives."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from experiments.common.checks import at_least, one_of
from experiments.common.errors import ExperimentError
from experiments.config.negatives import NegativeRule
from experiments.data.query_split import QuerySplit, check_folds
from experiments.data.splits import REPEATED_QUERIES, WITHOUT_RELEVANT


@dataclass
class QueryLimits:
    """How many queries of each split to use; null for all. A smaller sample is part of a larger one."""

    train: int | None = None
    dev: int | None = 200
    test: int | None = None

    def __post_init__(self) -> None:
        for split in ("train", "dev", "test"):
            at_least(f"data.queries.{split}", getattr(self, split), 1)


@dataclass
class Data:
    """A data set.

    ``source``: the reader (``_target_``) and its settings. ``min_grade``: the lowest grade that counts as relevant.
    ``carve_dev``: without a dev split, that many training queries become it. ``split``: shares or counts of the judged
    queries for train, dev and test, for data sets with one file of qrels. ``folds`` and ``fold``: k-fold
    cross-validation; the jobs of all folds (``data.fold=0,1,2,3,4``) are one result, pooled by query.
    ``without_relevant``: judged queries of dev and test without a relevant passage are left out (``leave_out``) or
    ``count_as_zero``. ``repeated_queries``: ``keep`` or ``drop`` training queries with the text of a dev or test query.
    """

    source: Any = None
    path: str | None = MISSING  # each file of conf/data says null or ???; ??? would not replace a default
    min_grade: int = 1
    queries: QueryLimits = field(default_factory=QueryLimits)
    carve_dev: int = 200
    split: QuerySplit = field(default_factory=QuerySplit)
    folds: int | None = None
    fold: int | None = None
    without_relevant: str = "leave_out"
    repeated_queries: str = "keep"
    ignore_identical_ids: bool | None = None

    def __post_init__(self) -> None:
        one_of("data.without_relevant", self.without_relevant, WITHOUT_RELEVANT)
        one_of("data.repeated_queries", self.repeated_queries, REPEATED_QUERIES)
        check_folds(self.folds, self.fold, self.split)
        at_least("data.min_grade", self.min_grade, 1)
        at_least("data.carve_dev", self.carve_dev, 0)


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
                "backbone: give either backbone.path=... (a hub id or a folder) or backbone.package=... (an installed "
                "package), not both or none"
            )


@dataclass
class Negatives(NegativeRule):
    """A sampling rule with the name that tables call it by; its sources are keys of ``retrievers``."""

    name: str = "uniform"
