"""Define the interface of retrievers and cache their runs on disk."""

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
    """A first stage and source of negatives. To add one, write such a class and its YAML in ``conf/retriever``."""

    name: str

    def fingerprint(self) -> Mapping[str, Any]:
        """Return all settings and versions that decide what is retrieved, as JSON."""
        ...

    def retrieve(self, collection: Collection, queries: NDArray[np.int64], depth: int, cache: Cache) -> Run:
        """Return the best ``depth`` passages of each query row, or fewer if fewer match."""
        ...


@runtime_checkable
class FromFiles(Protocol):
    """A retriever that reads files whose content may change under the same name: a run file, a checkpoint."""

    def content(self) -> str:
        """Return the digest of the files."""
        ...


def contents_of(retrievers: Mapping[str, Retriever]) -> dict[str, str]:
    """Map each retriever that reads files to their digest."""
    from_files = {name: retriever for name, retriever in retrievers.items() if isinstance(retriever, FromFiles)}
    return {f"retrievers.{name}": retriever.content() for name, retriever in from_files.items()}


def run_for(retriever: Retriever, collection: Collection, queries: NDArray[np.int64], depth: int, cache: Cache) -> Run:
    """Return a retriever's run over query rows (ascending) from the cache, without own passages if so configured.

    A retriever that ``ranks_nothing`` has no run to keep.
    """
    if getattr(retriever, "ranks_nothing", False):
        return retriever.retrieve(collection, queries, depth, cache)
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
