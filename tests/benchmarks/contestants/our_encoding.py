"""Encode passages by this project into its store of vectors on disk, counting tokens and writing included.

``encoder``: ``dense`` (one vector a text) or ``colbert`` (one a token).
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.contestants.collection import read_texts
from benchmarks.harness.child import Calls, serve
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.data.collection import open_collection
from experiments.data.readers.beir import BeirFolder
from experiments.retrieval.colbert import ColBERT
from experiments.retrieval.dense import Dense
from experiments.retrieval.maxsim import rows_at
from experiments.retrieval.vector_store import Embeddings, passage_embeddings


def make(settings: Mapping[str, Any]) -> Calls:
    """Return the work: the vectors of all passages."""
    folder = Path(settings["folder"])
    collection = open_collection(BeirFolder(str(as_collection(folder))), Cache(folder / "cache"))
    path, kind = str(folder / settings["encoder"]), settings["encoder"]
    encoder: Any = Dense(path, device="cpu") if kind == "dense" else ColBERT(path, device="cpu").encoder
    count = len(collection.passages)

    def encode() -> Embeddings:
        return passage_embeddings(encoder, collection, Cache(Path(tempfile.mkdtemp(dir=folder))))

    def values(found: Embeddings) -> NDArray[np.float32]:
        return np.asarray(rows_at(found.vectors, found.places(np.arange(count))).values, np.float32)

    return Calls(encode, units=count, result=values)


def as_collection(folder: Path) -> Path:
    """Return the passages as a collection with one judged query."""
    target = folder / "passages"
    judged = next(iter(read_texts(folder / "passages.jsonl")))
    target.mkdir()
    (target / "corpus.jsonl").symlink_to(folder / "passages.jsonl")
    (target / "queries.jsonl").write_text('{"_id": "q0", "title": "", "text": "what"}\n', encoding="utf-8")
    (target / "qrels").mkdir()
    (target / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\nq0\t{judged}\t1\n", encoding="utf-8")
    return target


if __name__ == "__main__":
    serve(make)
