"""Assign judged queries to train, dev and test: the data set's own splits, shares or counts by hash, or folds.

A hash of its id alone places a query: no seed changes it, and with shares no other query does either.

Shapes: Q judged queries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError
from experiments.common.random_keys import key_of
from experiments.data.collection import Collection, Qrels
from experiments.data.ragged import Ragged, Rows, group_by_key
from experiments.data.source import SPLITS

MOST_FOLDS = 1_000
KEYS = 2.0**64  # upper limit of ``key_of``


@dataclass  # not frozen: OmegaConf makes frozen classes read-only, overrides included
class QuerySplit:
    """How the judged queries are divided among train, dev and test; all null keeps the data set's own splits.

    Sizes are shares (numbers with a point, such as 0.6, together at most 1) or counts (whole numbers). A hash of its id
    places a query, test from one end and train from the other. So with shares a query never moves when others come or
    go, and the test queries stay when only the share of train changes.
    """

    of: str | None = None
    """The one split of the data set whose queries are shared out; null takes the queries of all its splits together."""
    train: Any = None
    """Share or count of the training queries; null for none."""
    dev: Any = None
    """Share or count of the dev queries; null carves them from the training queries (``data.carve_dev``)."""
    test: Any = None
    """Share or count of the test queries; null for none."""

    def __post_init__(self) -> None:
        for name, value in self.sizes.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ExperimentError(
                    f"data.split.{name} is {value!r}: it must be a share (0.6), a count (100) or null"
                )
            if not 0 < value < float("inf") or (isinstance(value, float) and value > 1):
                raise ExperimentError(f"data.split.{name} is {value}: give a share above 0 up to 1 or a count from 1")
        if len({isinstance(value, int) for value in self.sizes.values()}) > 1:
            mixed = ", ".join(f"{name}={value}" for name, value in self.sizes.items())
            raise ExperimentError(f"data.split mixes shares with counts ({mixed}): give only shares or only counts")
        if not self.counts and sum(self.sizes.values()) > 1 + 1e-9:
            raise ExperimentError(f"data.split: the shares add up to {sum(self.sizes.values()):g}, above 1: lower one")
        if self.of is not None and self.of not in SPLITS:
            raise ExperimentError(f"data.split.of is {self.of!r}: it must be null or one of {', '.join(SPLITS)}")

    @property
    def sizes(self) -> dict[str, Any]:
        """The given shares or counts by split."""
        given = {"train": self.train, "dev": self.dev, "test": self.test}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def counts(self) -> bool:
        """Whether the sizes are counts."""
        return any(isinstance(value, int) for value in self.sizes.values())


@dataclass(frozen=True)
class JudgedQueries:
    """Judged queries of one split. ``queries``: (Q,) rows; ``qrels``: judgements of these and perhaps more."""

    queries: Rows
    qrels: Qrels


def check_folds(folds: int | None, fold: int | None, split: QuerySplit) -> None:
    """Check ``data.folds`` and ``data.fold`` before the data are read.

    Raises:
        ExperimentError: one is given without the other, or is out of its range, or shares are given too.
    """
    if folds is None:
        if fold is not None:
            raise ExperimentError(f"data.fold is {fold}, but data.folds is null: add data.folds=5, or leave it out")
        return
    if folds < 2:
        raise ExperimentError(f"data.folds is {folds}: it must be null or at least 2")
    if folds > MOST_FOLDS:
        raise ExperimentError(f"data.folds is {folds}: it must be null or at most {MOST_FOLDS:,}")
    every = ",".join(map(str, range(folds)))
    if fold is None:
        raise ExperimentError(f"data.folds={folds} needs a fold: data.fold=0, or all by -m data.fold={every}")
    if not 0 <= fold < folds:
        raise ExperimentError(f"data.fold is {fold}: with data.folds={folds} it must be one of {every}")
    if split.sizes:
        raise ExperimentError(
            "data.folds and data.split are both given: folds make train and test themselves; leave one of the two out"
        )


def assigned(
    collection: Collection, split: QuerySplit | None = None, folds: int | None = None, fold: int | None = None
) -> dict[str, JudgedQueries]:
    """Assign the judged queries to splits.

    ``folds`` and ``fold``: k-fold cross-validation. All judged queries are ordered by a hash of their ids and dealt out
    in turn, so that folds differ by at most one query; test is fold number ``fold``, train is the rest. ``split.of``
    limits them to one split, and keeps the data set's dev split. Other judged queries may change a query's fold.

    Raises:
        ExperimentError: ``split.of`` is unknown, a split gets no query, or a given split exists in the data set.
    """
    split = split or QuerySplit()
    own_qrels = {name: collection.qrels(name) for name in collection.splits}
    own = {name: JudgedQueries(qrels.queries, qrels) for name, qrels in own_qrels.items()}
    if not split.sizes and folds is None:
        if split.of is not None:
            raise ExperimentError(
                f"data.split.of={split.of} divides no queries: add data.split.train=0.7 data.split.test=0.3, "
                f"or data.folds=5 data.fold=0"
            )
        return own
    if split.of is not None and split.of not in own:
        raise ExperimentError(
            f"data.split.of is {split.of!r}, but data set {collection.name!r} has {', '.join(own)}: name one, or null"
        )
    pool = own[split.of] if split.of is not None else _merged(collection, own)
    if folds is not None:
        assert fold is not None  # see check_folds
        dev = {} if split.of in (None, "dev") or "dev" not in own else {"dev": own["dev"]}
        return _folds(collection, pool, folds, fold) | dev
    kept = {} if split.of is None else {name: judged for name, judged in own.items() if name != split.of}
    if both := sorted(kept.keys() & split.sizes.keys()):
        raise ExperimentError(
            f"data.split.{both[0]} is given, but data set {collection.name!r} has a {both[0]} split of its own: set "
            f"data.split.of=null to divide the queries of all its splits, or data.split.{both[0]}=null to keep it"
        )
    parts = _counted(collection, pool, split) if split.counts else _shared(collection, pool, split)
    for name, rows in parts.items():
        if not len(rows):
            raise ExperimentError(
                f"data.split.{name}={split.sizes[name]} leaves no query for {name}: raise it, as there are "
                f"{len(pool.queries):,} judged queries"
            )
    made = kept | {name: JudgedQueries(rows, pool.qrels) for name, rows in parts.items()}
    return {name: made[name] for name in SPLITS if name in made}


def _merged(collection: Collection, own: Mapping[str, JudgedQueries]) -> JudgedQueries:
    """Merge the judgements of all splits; refuse a passage judged differently for one query in two splits."""
    if len(own) == 1:
        return next(iter(own.values()))
    parts = [judged.qrels for judged in own.values()]
    queries = np.concatenate([np.repeat(qrels.queries, qrels.passages.lengths) for qrels in parts])
    passages = np.concatenate([qrels.passages.values for qrels in parts])
    grades = np.concatenate([qrels.grades.values for qrels in parts])
    order = np.lexsort((passages, queries))
    queries, passages, grades = queries[order], passages[order], grades[order]
    repeated = (queries[1:] == queries[:-1]) & (passages[1:] == passages[:-1])
    if (differs := np.flatnonzero(repeated & (grades[1:] != grades[:-1]))).size:
        at = int(differs[0])
        query, passage = collection.queries.id(queries[at]), collection.passages.id(passages[at])
        raise ExperimentError(
            f"the splits {', '.join(own)} of {collection.name!r} cannot be merged: the passage {passage!r} is "
            f"judged {grades[at]} and {grades[at + 1]} for the query {query!r}; name one split with data.split.of"
        )
    first = np.concatenate([[True], ~repeated])
    distinct, offsets = group_by_key(queries[first])
    return JudgedQueries(distinct, Qrels(distinct, Ragged(passages[first], offsets), Ragged(grades[first], offsets)))


def _keys(collection: Collection, queries: Rows, purpose: str) -> NDArray[np.uint64]:
    return np.array([key_of(purpose, query) for query in collection.queries.ids(queries)], np.uint64)


def _shared(collection: Collection, pool: JudgedQueries, split: QuerySplit) -> dict[str, Rows]:
    """Split by shares: the query's hash is a place between 0 and 1; train begins at 0 and test ends at 1."""
    place_Q = _keys(collection, pool.queries, "split").astype(np.float64) / KEYS
    test_from = 1 - (split.test or 0)
    dev_from = test_from - (split.dev or 0)
    inside = {
        "train": place_Q < min(split.train or 0, dev_from),  # sums of shares are rounded
        "dev": (place_Q >= dev_from) & (place_Q < test_from),
        "test": place_Q >= test_from,
    }
    return {name: pool.queries[inside[name]] for name in split.sizes}


def _counted(collection: Collection, pool: JudgedQueries, split: QuerySplit) -> dict[str, Rows]:
    """Split by counts in hash order: train takes the first queries, test the last, dev the ones before test."""
    wanted = sum(split.sizes.values())
    if wanted > len(pool.queries):
        sizes = " + ".join(f"{value:,} {name}" for name, value in split.sizes.items())
        raise ExperimentError(
            f"data.split asks for {sizes} = {wanted:,} queries, but only {len(pool.queries):,} are judged: lower one"
        )
    ordered = pool.queries[np.argsort(_keys(collection, pool.queries, "split"), kind="stable")]
    test_from = len(ordered) - (split.test or 0)
    dev_from = test_from - (split.dev or 0)
    parts = {"train": ordered[: split.train or 0], "dev": ordered[dev_from:test_from], "test": ordered[test_from:]}
    return {name: parts[name] for name in split.sizes}


def _folds(collection: Collection, pool: JudgedQueries, folds: int, fold: int) -> dict[str, JudgedQueries]:
    if folds > len(pool.queries):
        raise ExperimentError(f"data.folds is {folds}, but only {len(pool.queries):,} queries are judged: lower it")
    rank_Q = np.argsort(np.argsort(_keys(collection, pool.queries, "fold"), kind="stable"), kind="stable")
    tested = rank_Q % folds == fold
    return {
        "train": JudgedQueries(pool.queries[~tested], pool.qrels),
        "test": JudgedQueries(pool.queries[tested], pool.qrels),
    }
