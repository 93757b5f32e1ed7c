"""Explain, with the overrides that fix it, a split without queries or without a relevant passage."""

from collections.abc import Mapping

from experiments.common.errors import ExperimentError
from experiments.data.collection import Collection
from experiments.data.query_split import JudgedQueries, QuerySplit
from experiments.data.source import SPLITS


def without_any(collection: str, name: str, min_grade: int, made_by: str | None, elsewhere: bool) -> ExperimentError:
    """Build the error for a split in which no query has a relevant passage.

    ``made_by``: the key and value that put its queries there, None for a split of the data set. ``elsewhere``: whether
    another split has a relevant passage, so that this one's queries can count as 0.
    """
    queries = f" for the queries that {made_by} puts there" if made_by else ""
    counted = "set data.without_relevant=count_as_zero to count its queries as 0, or " if elsewhere else ""
    changed = f", or change {made_by.partition('=')[0]}" if made_by else ""
    return ExperimentError(
        f"split {name!r} of {collection!r} has no passage judged {min_grade} or better{queries}: "
        f"{counted if name != 'train' else ''}lower data.min_grade{changed}"
    )


def made_by(name: str, split: QuerySplit, folds: int | None, fold: int | None) -> str | None:
    """Return the override that fills a split, such as ``data.split.test=0.3``, or None."""
    if folds is not None and name in ("train", "test"):
        return f"data.folds={folds} data.fold={fold}"
    return f"data.split.{name}={split.sizes[name]}" if name in split.sizes else None


def nothing_to_carve(
    collection: Collection, judged: Mapping[str, JudgedQueries], trained: int, min_grade: int, split: QuerySplit,
    folds: int | None,
) -> ExperimentError:  # fmt: skip
    """Build the error for ``trained`` training queries too few to give a fifth of them to dev."""
    own = {name: len(judged[name].queries) for name in ("train", "test") if name in judged}
    if folds is not None:
        pool = len(judged["train"].qrels.queries)
        free = [name for name in own if split.of in (None, name) or name not in collection.splits]
        sizes = own if len(free) == 2 else dict.fromkeys(free, pool)
        remedy = _more_folds(judged, min_grade) or f"leave out data.folds and data.fold, and {_one_to_dev(sizes)}"
    elif split.sizes:
        remedy = _one_to_dev({name: len(judged[name].queries) for name in split.sizes})
    else:
        name = "train" if own["train"] > 1 else "test"
        remedy = f"{_one_to_dev({name: own.get(name, 0)}, of=name)}, or name qrels in data.source.splits.dev"
    return ExperimentError(
        f"data set {collection.name!r} has no dev queries to choose checkpoints on: data.carve_dev takes at most a "
        f"fifth of the training queries, and a fifth of {trained:,} is none; {remedy}"
    )


def _more_folds(judged: Mapping[str, JudgedQueries], min_grade: int) -> str | None:
    """Suggest the fewest folds with five training queries each; None if there are too few queries."""
    pool = judged["train"].qrels
    spare = len(pool.relevant(min_grade)) - 5
    return f"set data.folds={-(-len(pool.queries) // spare)}" if spare > 0 else None


def _one_to_dev(sizes: Mapping[str, int], of: str | None = None) -> str:
    """Suggest overrides that move one query of the largest split to dev."""
    largest = max(sizes, key=lambda name: sizes[name], default=None)
    if largest is None or sizes[largest] < 2:
        return "judge more queries"
    after = {**sizes, largest: sizes[largest] - 1, "dev": 1}
    typed = [f"data.split.{name}={after[name]}" for name in SPLITS if name in after]
    return " ".join(["set", *([f"data.split.of={of}"] if of else []), *typed])
