"""Which queries train, select and test: fixed sub-samples by hash, and a dev split carved from the training queries
where there is none.
"""

import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from experiments.common.errors import ExperimentError
from experiments.common.random_keys import key_of
from experiments.data.collection import Collection, Qrels
from experiments.data.query_split import JudgedQueries, QuerySplit, assigned
from experiments.data.ragged import Rows
from experiments.data.repeated_queries import repeated_in
from experiments.data.split_errors import made_by, nothing_to_carve, without_any

log = logging.getLogger(__name__)
LEAVE_OUT, COUNT_AS_ZERO = WITHOUT_RELEVANT = ("leave_out", "count_as_zero")
KEEP, DROP = REPEATED_QUERIES = ("keep", "drop")


@dataclass(frozen=True)
class Split:
    """The queries of one split.

    ``queries``: (Q,) rows, ascending. ``relevant``: query row -> passages, of every query; empty for one that counts as
    0 because no passage is relevant. ``qrels``: the judgements of these queries and perhaps of more.
    ``without_relevant``: judged queries without a relevant passage: those that were left out of the whole split, or
    those among ``queries`` if they count as 0.
    """

    name: str
    queries: Rows
    relevant: Mapping[int, Rows]
    qrels: Qrels
    without_relevant: int = 0

    def judged(self, grade: int) -> dict[int, Rows]:
        """Query row -> the passages judged ``grade`` or better, of every query of the split that has such."""
        found = self.qrels.relevant(grade)
        return {row: found[row] for row in self.queries.tolist() if row in found}


@dataclass
class _Draft:
    """A split in the making. ``rows``: query rows in the order of their hashes; ``without``: those of them, or of the
    judged ones that were left out, that have no relevant passage.
    """

    rows: list[int]
    without: list[int]
    relevant: Mapping[int, Rows]
    qrels: Qrels
    judged: int


def make_splits(
    collection: Collection,
    *,
    min_grade: int = 1,
    limits: Mapping[str, int | None] | None = None,
    carve_dev: int = 0,
    needed: Sequence[str] = ("train", "test"),
    split: QuerySplit | None = None,
    folds: int | None = None,
    fold: int | None = None,
    without_relevant: str = LEAVE_OUT,
    repeated_queries: str = KEEP,
) -> dict[str, Split]:
    """The splits train, dev and test of a collection.

    ``min_grade``: the lowest grade that counts as relevant. ``limits``: how many queries of a split to keep, None for
    all; a smaller number keeps a sub-set of what a larger one keeps. ``carve_dev``: if there is no dev split, that many
    training queries (at most a fifth of them) become it and are not trained on: selection must never see the test
    queries. ``needed``: the splits that there must be. ``split``, ``folds``, ``fold``: see ``assigned``.
    ``without_relevant``: whether judged queries of dev and test without a relevant passage are left out or count as 0;
    none is ever trained on. ``repeated_queries``: whether training queries that a dev or test query repeats are kept or
    dropped.

    Raises:
        ExperimentError: a needed split is not there, or a split without a relevant passage (dev and test may be so if
        such queries count as 0 and another split has one), or queries that stand in two splits, or there are too few
        training queries to carve dev from, or what ``assigned`` finds wrong.
    """
    split = split or QuerySplit()
    judged = assigned(collection, split, folds, fold)
    _check_needed(collection, judged, needed, carve_dev)
    drafts = {name: _draft(collection, name, one, min_grade, without_relevant) for name, one in judged.items()}
    _check_relevant(collection, drafts, min_grade, split, folds, fold)
    wanted = {*needed, *(["dev"] if {"train", "test"} <= set(needed) else [])}  # a training chooses its checkpoint
    if "dev" not in drafts and "train" in drafts and carve_dev:
        count = min(carve_dev, len(drafts["train"].rows) // 5)
        if count:
            _carve(drafts, count)
        elif "dev" in wanted:
            raise nothing_to_carve(collection, judged, len(drafts["train"].rows), min_grade, split, folds)
    _check_disjoint(collection, drafts)
    _warn_of_unjudged(collection, drafts, wanted, min_grade, without_relevant)
    if "train" in needed:
        _look_for_repeated(collection, drafts, repeated_queries)
    return {name: _kept(name, draft, (limits or {}).get(name)) for name, draft in drafts.items()}


def by_hash(collection: Collection, rows: Sequence[int]) -> list[int]:
    """Query rows in the order of a hash of their ids: a random order that no seed and no other query changes."""
    ids = collection.queries.ids(rows)
    return [row for _, row in sorted((key_of("sample", one), row) for one, row in zip(ids, rows, strict=True))]


def _check_needed(
    collection: Collection, judged: Mapping[str, JudgedQueries], needed: Sequence[str], carve_dev: int
) -> None:
    for name in needed:
        carved = name == "dev" and carve_dev and "train" in judged
        if name not in judged and not carved:
            raise ExperimentError(
                f"data set {collection.name!r} has no {name} split (it has {', '.join(judged)}): name one under "
                f"data.source.splits, or share out the judged queries, such as data.split.train=0.7 "
                f"data.split.test=0.3"
            )


def _draft(collection: Collection, name: str, judged: JudgedQueries, min_grade: int, without_relevant: str) -> _Draft:
    known = judged.qrels.relevant(min_grade)
    every = by_hash(collection, judged.queries.tolist())
    counted = name != "train" and without_relevant == COUNT_AS_ZERO
    rows = every if counted else [row for row in every if row in known]
    return _Draft(rows, [row for row in every if row not in known], known, judged.qrels, len(every))


def _check_relevant(
    collection: Collection, drafts: Mapping[str, _Draft], min_grade: int, split: QuerySplit, folds: int | None,
    fold: int | None,
) -> None:  # fmt: skip
    elsewhere = any(draft.relevant for draft in drafts.values())
    for name, draft in drafts.items():
        if len(draft.without) == draft.judged and not (draft.rows and elsewhere):
            by = made_by(name, split, folds, fold)
            raise without_any(collection.name, name, min_grade, by, elsewhere)


def _carve(drafts: dict[str, _Draft], count: int) -> None:
    train = drafts["train"]
    drafts["dev"] = _Draft(train.rows[:count], [], train.relevant, train.qrels, count)
    train.rows = train.rows[count:]


def _check_disjoint(collection: Collection, drafts: Mapping[str, _Draft]) -> None:
    names = list(drafts)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            shared = set(drafts[first].rows) & set(drafts[second].rows)
            if shared:
                example = collection.queries.id(min(shared))
                raise ExperimentError(
                    f"{len(shared):,} queries stand in both {first} and {second}, such as {example!r}: splits must be "
                    f"disjoint"
                )


def _warn_of_unjudged(
    collection: Collection, drafts: Mapping[str, _Draft], wanted: Set[str], min_grade: int, without_relevant: str
) -> None:
    """Say how many judged queries have no relevant passage, and what becomes of them."""
    counts = [
        f"{len(draft.without):,} of {draft.judged:,} in {name}"
        for name, draft in drafts.items()
        if draft.without and name in wanted
    ]
    if not counts:
        return
    fate = (
        "those of dev and test count as 0 (data.without_relevant=count_as_zero), none is trained on"
        if without_relevant == COUNT_AS_ZERO
        else "they are left out (data.without_relevant=count_as_zero counts those of dev and test as 0)"
    )
    log.warning(
        "%s: judged queries without a passage judged %d or better: %s; %s",
        collection.name, min_grade, ", ".join(counts), fate,
    )  # fmt: skip


def _look_for_repeated(collection: Collection, drafts: Mapping[str, _Draft], repeated_queries: str) -> None:
    """Warn of training queries with the text of a dev or test query, and of dev queries with that of a test query;
    drop the former from training if that is wanted.
    """
    for name, others in (("train", ("dev", "test")), ("dev", ("test",))):
        if name not in drafts:
            continue
        known = [row for other in others if other in drafts for row in drafts[other].rows]
        found = repeated_in(collection, drafts[name].rows, known)
        if not found.rows:
            continue
        dropped = name == "train" and repeated_queries == DROP
        remedy = {
            "train": "they are not trained on" if dropped else "data.repeated_queries=drop leaves them out of training",
            "dev": "checkpoints are chosen on them",
        }
        log.warning(
            "%s: %s of %s %s queries have the text of a %s query, such as %r: %s",
            collection.name, f"{len(found.rows):,}", f"{len(drafts[name].rows):,}", name, " or ".join(others),
            found.example, remedy[name],
        )  # fmt: skip
        if dropped:
            drafts[name].rows = [row for row in drafts[name].rows if row not in found.rows]
            if not drafts[name].rows:
                raise ExperimentError(
                    f"data.repeated_queries=drop leaves no training query: every one of {len(found.rows):,} has the "
                    f"text of a dev or test query; set data.repeated_queries=keep, or other splits"
                )


def _kept(name: str, draft: _Draft, limit: int | None) -> Split:
    rows = draft.rows[:limit]
    nothing = np.empty(0, np.int64)
    counted = set(draft.without) & set(draft.rows)
    return Split(
        name,
        np.sort(np.asarray(rows, np.int64)),
        {row: draft.relevant.get(row, nothing) for row in rows},
        draft.qrels,
        len(counted & set(rows)) if counted else len(draft.without),
    )
