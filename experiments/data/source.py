"""What a data set must provide to become a collection; a reader in ``experiments/data/readers`` is one class of this
form.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from experiments.common.errors import ExperimentError
from experiments.data.ids import escaped

SPLITS = ("train", "dev", "test")
MISSING = ("error", "empty")
Judged = Mapping[str, Iterator[tuple[str, str, int]]]


def named_splits(splits: Mapping[str, str | None] | None) -> dict[str, str]:
    """The splits that a reader's key ``splits`` gives a name; a split that is null has none.

    Raises:
        ExperimentError: a split that there is not.
    """
    unknown = {str(split) for split in splits or {}} - set(SPLITS)
    if unknown:
        raise ExperimentError(
            f"data.source.splits names {', '.join(sorted(unknown))}; the splits are {', '.join(SPLITS)}"
        )
    return {split: str(name) for split, name in (splits or {}).items() if name is not None}


def check_missing(missing: str) -> str:
    """The value of a reader's key ``missing``: what a judged passage without a text is.

    Raises:
        ExperimentError: it is neither ``error`` nor ``empty``.
    """
    if missing not in MISSING:
        raise ExperimentError(f"data.source.missing is {missing!r}: it must be one of {', '.join(MISSING)}")
    return missing


def with_judged(passages: Iterator[tuple[str, str]], judged: Judged) -> Iterator[tuple[str, str]]:
    """All passages, and after them, without a text, every judged passage that was not among them, by id."""
    absent = {passage for rows in judged.values() for _, passage, _ in rows}
    for passage, text in passages:
        absent.discard(passage)
        absent.discard(escaped(passage))
        yield passage, text
    yield from ((passage, "") for passage in sorted(absent))


@runtime_checkable
class Source(Protocol):
    """A data set as it lies on disk or in a package.

    Iterators are read once, in order, and may be as long as MS MARCO's 8.8 million passages: nothing is held in memory.
    Two attributes are optional: ``missing``, if the reader has that key, which messages then name; and
    ``queries_among_passages``, true for a data set whose queries are passages too, under the same ids.
    """

    name: str

    def fingerprint(self) -> Mapping[str, Any]:
        """What determines the content and is cheap to know (files with their sizes and times, versions), as JSON."""
        ...

    def passages(self) -> Iterator[tuple[str, str]]:
        """(passage id, text) of every passage."""
        ...

    def queries(self) -> Iterator[tuple[str, str]]:
        """(query id, text) of every query, of all splits."""
        ...

    def qrels(self) -> Mapping[str, Iterator[tuple[str, str, int]]]:
        """For each split (some of train, dev, test): (query id, passage id, grade)."""
        ...
