"""Build train, dev and test: fixed sub-samples by hash, and a dev split carved from train if there is none."""

import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import combinations

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
TEST, DEV, TRAIN = MEASURED_ON = ("test", "dev", "train")


@dataclass(frozen=True)
class Split:
    """Queries of one split.

    ``queries``: (Q,) rows, ascending. ``relevant``: query row -> passages; empty for a query that counts as 0.
    ``qrels``: judgements of these queries and perhaps more. ``without_relevant``: number of judged queries without a
    relevant passage: left out of the whole split, or among ``queries`` if they count as 0.
    """

    name: str
    queries: Rows
    relevant: Mapping[int, Rows]
    qrels: Qrels
    without_relevant: int = 0

    def judged(self, grade: int) -> dict[int, Rows]:
        """Map each query row with passages judged ``grade`` or better to these."""
        relevant = self.qrels.relevant(grade)
        return {row: relevant[row] for row in self.queries.tolist() if row in relevant}


@dataclass
class _Draft:
    """A split in the making. ``rows``: query rows in hash order; ``without``: rows without a relevant passage."""

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
    measured_on: str = TEST,
) -> dict[str, Split]:
    """Build the splits train, dev and test of a collection.

    ``min_grade``: the lowest grade that counts as relevant. ``limits``: maximum queries of a split, None for all; a
    smaller number keeps a sub-set of a larger one's. ``carve_dev``: without a dev split, number of training queries (at
    most a fifth) that become it and are not trained on, so that selection never sees test queries. ``needed``: required
    splits. ``split``, ``folds``, ``fold``: see ``assigned``. ``without_relevant``: whether dev and test queries without
    a relevant passage are left out or count as 0; train leaves them out. ``repeated_queries``: whether training queries
    that repeat a dev or test query are kept or dropped. ``measured_on``: with ``dev`` the split test consists of the
    dev queries beyond the limit of dev, with ``train`` of the training queries, and the collection's test queries are
    not used.

    Raises:
        ExperimentError: a needed split is missing, a split has no relevant passage (allowed for dev and test if such
            queries count as 0 and another split has one), a query is in two splits, too few training queries to carve
            dev from, or an error of ``assigned``.
    """
    split = split or QuerySplit()
    needed = tuple(measured_on if name == TEST else name for name in needed)
    judged = assigned(collection, split, folds, fold)
    _check_needed(collection, judged, needed, carve_dev)
    drafts = {name: _draft(collection, name, part, min_grade, without_relevant) for name, part in judged.items()}
    _check_relevant(collection, drafts, min_grade, split, folds, fold)
    wanted = {*needed, *(["dev"] if {"train", "test"} <= set(needed) else [])}  # a training chooses its checkpoint
    if "dev" not in drafts and "train" in drafts and carve_dev:
        train = drafts["train"]
        if count := min(carve_dev, len(train.rows) // 5):
            drafts["dev"] = _Draft(train.rows[:count], [], train.relevant, train.qrels, count)
            train.rows = train.rows[count:]
        elif "dev" in wanted:
            raise nothing_to_carve(collection, judged, len(train.rows), min_grade, split, folds)
    if measured_on == DEV:
        _measure_on_dev(collection, drafts, (limits or {}).get("dev"))
    _check_disjoint(collection, drafts)
    _warn_of_unjudged(collection, drafts, wanted, min_grade, without_relevant)
    if "train" in needed:
        _look_for_repeated(collection, drafts, repeated_queries)
    splits = {name: _kept(name, draft, (limits or {}).get(name)) for name, draft in drafts.items()}
    return splits if measured_on != TRAIN else {**splits, TEST: replace(splits[TRAIN], name=TEST)}


def _measure_on_dev(collection: Collection, drafts: dict[str, _Draft], limit: int | None) -> None:
    """Replace test by the dev queries beyond those that choose checkpoints."""
    dev = drafts.get("dev")
    found = len(dev.rows) if dev is not None else 0
    if dev is None or limit is None or limit >= found:
        raise ExperimentError(
            f"data.measured_on=dev measures on the dev queries beyond the first data.queries.dev={limit}, which choose "
            f"checkpoints, but data set {collection.name!r} has {found:,}: lower data.queries.dev, or raise "
            f"data.carve_dev"
        )
    chosen, measured = dev.rows[:limit], dev.rows[limit:]
    drafts["dev"], drafts["test"] = replace(dev, rows=chosen), replace(dev, rows=measured)


def by_hash(collection: Collection, rows: Sequence[int]) -> list[int]:
    """Order query rows by a hash of their ids: a random order that no seed and no other query changes."""
    keys = [key_of("sample", query) for query in collection.queries.ids(rows)]
    return [row for _, row in sorted(zip(keys, rows, strict=True))]


def _check_needed(
    collection: Collection, judged: Mapping[str, JudgedQueries], needed: Sequence[str], carve_dev: int
) -> None:
    for name in needed:
        carved = name == "dev" and carve_dev and "train" in judged
        if name not in judged and not carved:
            raise ExperimentError(
                f"data set {collection.name!r} has no {name} split (it has {', '.join(judged)}): name one under "
                f"data.source.splits, or divide the judged queries: data.split.train=0.7 data.split.test=0.3"
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
            raise without_any(collection.name, name, min_grade, made_by(name, split, folds, fold), elsewhere)


def _check_disjoint(collection: Collection, drafts: Mapping[str, _Draft]) -> None:
    for first, second in combinations(drafts, 2):
        if shared := set(drafts[first].rows) & set(drafts[second].rows):
            example = collection.queries.id(min(shared))
            raise ExperimentError(
                f"{len(shared):,} queries are in {first} and {second}, such as {example!r}: splits must be disjoint"
            )


def _warn_of_unjudged(
    collection: Collection, drafts: Mapping[str, _Draft], wanted: Set[str], min_grade: int, without_relevant: str
) -> None:
    """Warn of judged queries without a relevant passage."""
    unjudged = {name: draft for name, draft in drafts.items() if draft.without and name in wanted}
    counts = [f"{len(draft.without):,} of {draft.judged:,} in {name}" for name, draft in unjudged.items()]
    if not counts:
        return
    fate = (
        "in dev and test they count as 0 (data.without_relevant=count_as_zero), none is trained on"
        if without_relevant == COUNT_AS_ZERO
        else "they are left out (data.without_relevant=count_as_zero counts dev and test queries as 0)"
    )
    log.warning(
        "%s: judged queries without a passage judged %d or better: %s; %s",
        collection.name, min_grade, ", ".join(counts), fate,
    )  # fmt: skip


def _look_for_repeated(collection: Collection, drafts: Mapping[str, _Draft], repeated_queries: str) -> None:
    """Warn of train or dev queries that repeat the text of a later split; drop the former if wanted."""
    for name, others in (("train", ("dev", "test")), ("dev", ("test",))):
        if name not in drafts:
            continue
        known = [row for other in others if other in drafts for row in drafts[other].rows]
        repeated = repeated_in(collection, drafts[name].rows, known)
        if not repeated.rows:
            continue
        dropped = name == "train" and repeated_queries == DROP
        remedy = {
            "train": "they are not trained on" if dropped else "data.repeated_queries=drop leaves them out of training",
            "dev": "checkpoints are chosen on them",
        }
        log.warning(
            "%s: %s of %s %s queries have the text of a %s query, such as %r: %s",
            collection.name, f"{len(repeated.rows):,}", f"{len(drafts[name].rows):,}", name, " or ".join(others),
            repeated.example, remedy[name],
        )  # fmt: skip
        if dropped:
            drafts[name].rows = [row for row in drafts[name].rows if row not in repeated.rows]
            if not drafts[name].rows:
                raise ExperimentError(
                    f"data.repeated_queries=drop leaves no training query: every one of {len(repeated.rows):,} has the "
                    f"text of a dev or test query; set data.repeated_queries=keep, or other splits"
                )


def _kept(name: str, draft: _Draft, limit: int | None) -> Split:
    rows = draft.rows[:limit]
    counted = set(draft.without) & set(draft.rows)
    return Split(
        name,
        np.sort(np.asarray(rows, np.int64)),
        {row: draft.relevant.get(row, np.empty(0, np.int64)) for row in rows},
        draft.qrels,
        len(counted & set(rows)) if counted else len(draft.without),
    )
