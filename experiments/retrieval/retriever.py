"""What makes runs, and the one registry of runs on disk."""

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.data import run as runs
from experiments.data.collection import Collection
from experiments.data.run import Run
from experiments.retrieval import own_passages


@runtime_checkable
class Retriever(Protocol):
    """A first stage, and a source of negatives. A new one is one class of this form and its YAML in
    ``conf/retriever``.
    """

    name: str

    def fingerprint(self) -> Mapping[str, Any]:
        """All settings and versions that decide what is retrieved, as JSON."""
        ...

    def retrieve(self, collection: Collection, queries: NDArray[np.int64], depth: int, cache: Cache) -> Run:
        """The best ``depth`` passages of each query row (fewer where fewer match)."""
        ...


@runtime_checkable
class FromFiles(Protocol):
    """A retriever whose rankings come from files that may change under their name: a run file, a checkpoint."""

    def content(self) -> str:
        """The digest of the files."""
        ...


def contents_of(retrievers: Mapping[str, Retriever]) -> dict[str, str]:
    """Name -> digest of the files of each retriever that has any: what a finished job was made from, beside its
    config.
    """
    return {f"retrievers.{name}": one.content() for name, one in retrievers.items() if isinstance(one, FromFiles)}


def run_for(retriever: Retriever, collection: Collection, queries: NDArray[np.int64], depth: int, cache: Cache) -> Run:
    """The run of a retriever over some queries (ascending rows), retrieved at the first time and read from the cache
    ever after; without the passage of the query's own id if the collection says so.
    """
    deep = own_passages.depth_for(collection, depth)
    key = {
        "format": 1,
        "collection": collection.fingerprint,
        "retriever": dict(retriever.fingerprint()),
        "queries": hashlib.blake2b(queries.astype("<i8").tobytes(), digest_size=16).hexdigest(),
        "depth": deep,
    }
    folder = cache.get(
        "run", key, lambda target: runs.save(retriever.retrieve(collection, queries, deep, cache), target)
    )
    run = runs.load(folder, retriever.name)
    own_passages.warn_of_own_texts(run, collection)
    return own_passages.left_out(run, collection, depth)
