"""What to say, and to type, where the queries of a split are of no use: none has a relevant passage, or there are none."""

from experiments.data.assignment import QuerySplit
from experiments.errors import ExperimentError


def without_any(collection: str, name: str, min_grade: int, made_by: str | None, elsewhere: bool) -> ExperimentError:
    """No query of the split ``name`` has a relevant passage.

    ``made_by``: the key and value that put its queries there, None for a split of the data set. ``elsewhere``: whether
    a query of another split has one, so that those of this one can count as 0.
    """
    queries = f" for the queries that {made_by} puts there" if made_by else ""
    counted = "set data.without_relevant=count_as_zero to count its queries as 0, or " if elsewhere else ""
    changed = f", or change {made_by.partition('=')[0]}" if made_by else ""
    return ExperimentError(
        f"split {name!r} of {collection!r} has no passage judged {min_grade} or better{queries}: "
        f"{counted if name != 'train' else ''}lower data.min_grade{changed}"
    )


def made_by(name: str, split: QuerySplit, folds: int | None, fold: int | None) -> str | None:
    """The key and value that put the queries of a split there, such as ``data.folds=5 data.fold=0``; None if none did."""
    if folds is not None and name in ("train", "test"):
        return f"data.folds={folds} data.fold={fold}"
    return f"data.split.{name}={split.sizes[name]}" if name in split.sizes else None
