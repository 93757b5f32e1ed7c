"""Exact late interaction over a large collection stays within a bounded working set."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PASSAGES, TOKENS, DIMENSIONS, DEPTH = 100_000, 60, 64, 1000

SEARCH = """
import json, sys, resource
import numpy as np
import torch
from pathlib import Path
from experiments.data.ragged import Ragged, offsets_of
from experiments.retrieval.colbert import exact_search
from experiments.retrieval.vector_store import Embeddings

folder, passages, dimensions, depth = Path(sys.argv[1]), *map(int, sys.argv[2:])
offsets = offsets_of(np.load(folder / "counts.npy"))
path = folder / "vectors.bin"
vectors = Ragged(np.memmap(path, "<f2", "r").reshape(-1, dimensions), offsets)
rows = np.arange(passages)[::-1].copy()
queries = np.random.default_rng(1).normal(size=(8 * 16, dimensions)).astype(np.float32)
asked = Ragged(queries, np.arange(0, 8 * 16 + 1, 16))
run = exact_search("memory", np.arange(8), asked, Embeddings(rows, vectors, path), depth, torch.device("cpu"))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"peak": peak, "lengths": run.passages.lengths.tolist(), "best": run.ranking(3)[:5].tolist()}))
"""


@pytest.mark.slow
def test_top_1000_of_100_000_passages_within_4_gigabytes(tmp_path: Path):
    random = np.random.default_rng(0)
    counts = random.integers(TOKENS // 2, TOKENS * 3 // 2, PASSAGES)
    np.save(tmp_path / "counts.npy", counts)
    with (tmp_path / "vectors.bin").open("wb") as file:
        for part in np.array_split(counts, 50):
            file.write(random.normal(size=(part.sum(), DIMENSIONS)).astype(np.float16).tobytes())
    arguments = [str(one) for one in (tmp_path, PASSAGES, DIMENSIONS, DEPTH)]
    done = subprocess.run([sys.executable, "-c", SEARCH, *arguments], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["peak"] < 4 * 10**9
    assert found["lengths"] == [DEPTH] * 8
    assert found["best"] == best_by_hand(tmp_path, counts)


def best_by_hand(folder: Path, counts: np.ndarray) -> list[int]:
    """The five best passage rows of query 3; the passage at place i is row 99,999 - i."""
    query = np.random.default_rng(1).normal(size=(8 * 16, DIMENSIONS)).astype(np.float32)[3 * 16 : 4 * 16]
    vectors = np.memmap(folder / "vectors.bin", "<f2", "r").reshape(-1, DIMENSIONS)
    ends = np.cumsum(counts)
    scores = np.empty(PASSAGES, np.float32)
    for places in np.array_split(np.arange(PASSAGES), 100):
        start = ends[places[0]] - counts[places[0]]
        similar = vectors[start : ends[places[-1]]].astype(np.float32) @ query.T
        starts = ends[places] - counts[places] - start
        scores[places] = np.maximum.reduceat(similar, starts, axis=0).sum(1)
    return [PASSAGES - 1 - int(place) for place in np.argsort(-scores)[:5]]
