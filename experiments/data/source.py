"""What a data set must provide to become a collection; a reader in ``experiments/data/readers`` is one class of this
form.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

SPLITS = ("train", "dev", "test")


@runtime_checkable
class Source(Protocol):
    """A data set as it lies on disk or in a package.

    Iterators are read once, in order, and may be as long as MS MARCO's 8.8 million passages: nothing is held in memory.
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
