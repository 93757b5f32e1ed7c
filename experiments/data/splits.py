"""Which queries train, select and test: fixed sub-samples by hash, and a dev split carved from the training queries
where there is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.data.collection import Collection
from experiments.errors import ExperimentError
from experiments.hashing import key_of


@dataclass(frozen=True)
class Split:
    """The queries of one split that have a relevant passage. ``queries``: (Q,) rows, ascending. ``relevant``: query row
    -> passages.
    """

    name: str
    queries: NDArray[np.int64]
    relevant: Mapping[int, NDArray[np.int64]]


def make_splits(
    collection: Collection,
    *,
    min_grade: int = 1,
    limits: Mapping[str, int | None] | None = None,
    carve_dev: int = 0,
    needed: Sequence[str] = ("train", "test"),
) -> dict[str, Split]:
    """The splits train, dev and test of a collection.

    ``min_grade``: the lowest grade that counts as relevant. ``limits``: how many queries of a split to keep, None for
    all; a smaller number keeps a sub-set of what a larger one keeps. ``carve_dev``: if the collection has no dev split,
    that many training queries (at most a fifth of them) become it and are not trained on: selection must never see the
    test queries. ``needed``: the splits that there must be.

    Raises:
        ExperimentError: a needed split is not there, a split without a relevant passage, or queries that stand in two
        splits.
    """
    limits = limits or {}
    for name in needed:
        carved = name == "dev" and carve_dev and "train" in collection.splits
        if name not in collection.splits and not carved:
            have = ", ".join(collection.splits)
            raise ExperimentError(
                f"data set {collection.name!r} has no {name} split (it has {have}): name one under data.source.splits"
            )
    relevant = {name: collection.qrels(name).relevant(min_grade) for name in collection.splits}
    chosen = {name: by_hash(collection, list(found)) for name, found in relevant.items()}
    for name, rows in chosen.items():
        if not rows:
            raise ExperimentError(
                f"split {name!r} of {collection.name!r} has no passage judged {min_grade} or better: see data.min_grade"
            )
    if "dev" not in chosen and "train" in chosen and carve_dev:
        count = min(carve_dev, len(chosen["train"]) // 5)
        chosen["dev"], chosen["train"] = chosen["train"][:count], chosen["train"][count:]
        relevant["dev"] = relevant["train"]
    names = list(chosen)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            shared = set(chosen[first]) & set(chosen[second])
            if shared:
                one = collection.queries.id(min(shared))
                raise ExperimentError(
                    f"{len(shared):,} queries stand in both {first} and {second}, such as {one!r}: splits must be "
                    f"disjoint"
                )
    return {
        name: Split(
            name,
            np.sort(np.asarray(rows[: limits.get(name)], np.int64)),
            {row: relevant[name][row] for row in rows[: limits.get(name)]},
        )
        for name, rows in chosen.items()
    }


def by_hash(collection: Collection, rows: Sequence[int]) -> list[int]:
    """Query rows in the order of a hash of their ids: a random order that no seed and no other query changes."""
    ids = collection.queries.ids(rows)
    return [row for _, row in sorted((key_of("sample", one), row) for one, row in zip(ids, rows, strict=True))]
