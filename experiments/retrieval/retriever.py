"""Define the interface of retrievers and cache their runs on disk."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.progress import tracked
from experiments.data import run as runs
from experiments.data.collection import Collection
from experiments.data.run import Run
from experiments.retrieval import own_passages
from experiments.retrieval.topk import joined

PARTS = "parts"  # folder of an unfinished run's parts


@runtime_checkable
class Retriever(Protocol):
    """A first stage and source of negatives. To add one, write such a class and its YAML in ``conf/retriever``.

    An attribute is optional: ``queries_a_part``, for a retriever whose queries cost much and share nothing. Its runs
    are kept part by part, so that a killed retrieval goes on where it was.
    """

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
    key = {**run_key(collection, queries, depth), "retriever": dict(retriever.fingerprint())}
    deep = own_passages.depth_for(collection, depth)
    folder = cache.get(
        "run", key, lambda target: _build(retriever, collection, queries, deep, cache, target), resumable=True
    )
    run = runs.load(folder, retriever.name)
    own_passages.warn_of_own_texts(run, collection)
    return own_passages.left_out(run, collection, depth)


def run_key(collection: Collection, queries: NDArray[np.int64], depth: int) -> dict[str, Any]:
    """Return the cache key of a run, without its ``retriever``."""
    return {
        "format": 1,
        "collection": collection.fingerprint,
        "queries": hashlib.blake2b(queries.astype("<i8").tobytes(), digest_size=16).hexdigest(),
        "depth": own_passages.depth_for(collection, depth),
    }


def _build(
    retriever: Retriever,
    collection: Collection,
    queries: NDArray[np.int64],
    depth: int,
    cache: Cache,
    folder: Path,
) -> None:
    """Save a run into a folder, which may hold the parts of an interrupted retrieval."""
    size = getattr(retriever, "queries_a_part", None) or max(1, len(queries))
    if len(queries) <= size:
        runs.save(retriever.retrieve(collection, queries, depth, cache), folder)
        return
    parts = [queries[start : start + size] for start in range(0, len(queries), size)]
    places = [folder / PARTS / f"{number * size}-{number * size + len(part)}" for number, part in enumerate(parts)]
    done = sum(len(part) for part, place in zip(parts, places, strict=True) if place.is_dir())
    with tracked(f"{retriever.name}: {len(queries):,} queries", len(queries), done) as advance:
        for part, place in zip(parts, places, strict=True):
            if not place.is_dir():
                unfinished = place.with_name(f".{place.name}")
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir(parents=True)
                runs.save(retriever.retrieve(collection, part, depth, cache), unfinished)
                os.replace(unfinished, place)
                advance(len(part))
    runs.save(joined(retriever.name, [runs.load(place, retriever.name) for place in places]), folder)
    shutil.rmtree(folder / PARTS)
