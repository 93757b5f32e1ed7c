"""Interface of the readers in ``experiments/data/readers``, and helpers for their keys."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

from experiments.common.errors import ExperimentError
from experiments.data.ids import escaped

SPLITS = ("train", "dev", "test")
MISSING = ("error", "empty")
Judged = Mapping[str, Iterator[tuple[str, str, int]]]


def named_splits(splits: Mapping[str, str | None] | None) -> dict[str, str]:
    """Return the named splits of a reader's key ``splits``; null leaves a split out.

    Raises:
        ExperimentError: an unknown split.
    """
    unknown = {str(split) for split in splits or {}} - set(SPLITS)
    if unknown:
        raise ExperimentError(f"data.source.splits names {', '.join(sorted(unknown))}; splits are {', '.join(SPLITS)}")
    return {split: str(name) for split, name in (splits or {}).items() if name is not None}


def check_missing(missing: str) -> str:
    """Return the value of a reader's key ``missing``, which says how to treat a judged passage without a text.

    Raises:
        ExperimentError: it is neither ``error`` nor ``empty``.
    """
    if missing not in MISSING:
        raise ExperimentError(f"data.source.missing is {missing!r}: it must be one of {', '.join(MISSING)}")
    return missing


def with_judged(passages: Iterator[tuple[str, str]], judged: Judged, missing: str) -> Iterator[tuple[str, str]]:
    """Yield all passages, then each judged passage not among them, with an empty text, by id."""
    if missing == "error":
        yield from passages
        return
    absent = {passage for rows in judged.values() for _, passage, _ in rows}
    for passage, text in passages:
        absent.discard(passage)
        absent.discard(escaped(passage))
        yield passage, text
    yield from ((passage, "") for passage in sorted(absent))


@runtime_checkable
class Source(Protocol):
    """A data set on disk or in a package.

    Iterators are read once, in order, and may yield MS MARCO's 8.8 million passages: nothing is held in memory. Some
    attributes are optional: ``missing``, if the reader has that key, for messages; ``queries_among_passages``, true
    for a data set whose queries are passages too, under the same ids; ``counts()``, the numbers of ``passages`` and of
    the queries of train, dev and test that are known before anything is read; and ``fetched``, true where the files
    come from a network.
    """

    name: str

    def fingerprint(self) -> Mapping[str, Any]:
        """Return what determines the content and is cheap to read (file sizes and times, versions), as JSON."""

    def passages(self) -> Iterator[tuple[str, str]]:
        """Yield (passage id, text) of every passage."""

    def queries(self) -> Iterator[tuple[str, str]]:
        """Yield (query id, text) of every query of all splits."""

    def qrels(self) -> Mapping[str, Iterator[tuple[str, str, int]]]:
        """Return (query id, passage id, grade) rows for some of train, dev, test."""
