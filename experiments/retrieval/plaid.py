"""Search an approximate late-interaction index (PLAID, Santhanam et al. 2022) with the optional package fast-plaid."""

import importlib
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.common.progress import tracked
from experiments.data.ragged import Ragged
from experiments.data.run import Run, run_of
from experiments.retrieval.vector_store import Embeddings

if TYPE_CHECKING:
    import torch

BITS = 4  # of a residual's dimension
LISTS = 8  # inverted lists probed for each query token
QUERIES_AT_ONCE = 64
RESCORED = 4096  # least number of passages of a query that are scored from their residuals

_INSTALL = (
    "needs the package fast-plaid, whose version ends with the torch that it is built for (2110: torch 2.11.0): "
    "make an environment with that torch and pip install fast-plaid there"
)


def require(key: str) -> None:
    """Check that fast-plaid can be used: with a torch that it is not built for it ends the process.

    Raises:
        ExperimentError: it is not installed, or is built for another torch.
    """
    try:
        needed = requires("fast-plaid") or []
    except PackageNotFoundError as error:
        raise ExperimentError(f"{key}=plaid {_INSTALL}, or set {key}=exact") from error
    present = version("torch").partition("+")[0]
    pins = [match[1] for requirement in needed if (match := re.match(r"torch\s*==\s*([\d.]+)", requirement))]
    if pins != [present]:
        built_for = f"torch {pins[0]}" if pins else "some torch that it does not name"
        raise ExperimentError(
            f"{key}=plaid: fast-plaid {version('fast-plaid')} is built for {built_for}, but torch {present} is "
            f"installed; it {_INSTALL}, or set {key}=exact"
        )


def fingerprint() -> Mapping[str, Any]:
    """Return everything but the embeddings that decides an index and its search."""
    return {"fast-plaid": version("fast-plaid"), "bits": BITS, "lists": LISTS, "rescored": RESCORED}


def search(
    name: str,
    queries: NDArray[np.int64],
    vectors: Ragged,
    embeddings: Embeddings,
    key: Mapping[str, Any],
    depth: int,
    device: "torch.device",
    cache: Cache,
) -> Run:
    """Search an index of all ``embeddings``, whose cache key is ``key``, with the token embeddings ``vectors`` of query
    rows. Scores come from the compressed vectors.
    """
    whole_key = {"embeddings": dict(key), **fingerprint()}
    folder = cache.get("plaid", whole_key, lambda target: _index(embeddings, target, device))
    import torch

    rows: list[NDArray[np.int64]] = []
    retrieved: list[tuple[int, float]] = []
    with _fast_plaid(folder, device) as index, tracked(f"{name}: {len(queries):,} queries", len(queries)) as advance:
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            batch = range(start, min(start + QUERIES_AT_ONCE, len(queries)))
            rankings = index.search(
                [torch.from_numpy(vectors[i]) for i in batch],
                top_k=depth,
                n_full_scores=max(RESCORED, 4 * depth),
                n_ivf_probe=LISTS,
                show_progress=False,
                n_processes=1,  # more would each load the index
            )
            for i, ranking in zip(batch, rankings, strict=True):
                retrieved += ranking
                rows.append(np.full(len(ranking), queries[i]))
            advance(len(batch))
    places, scores = (np.array(column) for column in zip(*retrieved, strict=True))
    return run_of(name, np.concatenate(rows), embeddings.rows_P[places.astype(np.int64)], scores.astype(np.float32))


def _index(embeddings: Embeddings, folder: Path, device: "torch.device") -> None:
    import torch

    passages = [
        torch.from_numpy(part[i]) for _, part in embeddings.read(1 << 20) for i in range(len(part))
    ]  # fast-plaid needs them all at once
    with _fast_plaid(folder, device) as index:
        index.create(documents_embeddings=passages, nbits=BITS)


def _fast_plaid(folder: Path, device: "torch.device") -> Any:
    return importlib.import_module("fast_plaid.search").FastPlaid(index=str(folder), device=str(device))
