"""BM25 with English stemming and stop words, through bm25s."""

import logging
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.data.collection import Collection
from experiments.errors import ExperimentError
from experiments.progress import tracked
from experiments.retrieval.run import Run, run_of
from experiments.store import Store

log = logging.getLogger(__name__)

CHUNK = 2_000  # queries scored between two steps of the progress bar


class BM25:
    """Okapi BM25 (Robertson et al. 1994; Lucene's form of the IDF).

    ``k1``: saturation of term frequency, 0 or more. ``b``: weight of length normalisation, 0 to 1. The defaults are the
    usual ones for MS MARCO passages (Nogueira and Cho 2019 used the official top 1000; Anserini's untuned setting is k1
    .9, b .4). ``stemmer``: a Snowball language or None. ``stopwords``: a bm25s list such as ``en``, or None.

    Raises:
        ExperimentError: a parameter out of range, or a stemmer that Snowball does not have.
    """

    def __init__(
        self,
        k1: float = 0.9,
        b: float = 0.4,
        stemmer: str | None = "english",
        stopwords: str | None = "en",
        name: str = "bm25",
    ) -> None:
        import Stemmer

        if k1 < 0 or not 0 <= b <= 1:
            raise ExperimentError(f"retrievers.{name}: k1 must be 0 or more and b from 0 to 1, not {k1} and {b}")
        if stemmer is not None and stemmer not in Stemmer.algorithms():
            raise ExperimentError(
                f"retrievers.{name}.stemmer: {stemmer!r} is none of {', '.join(Stemmer.algorithms())}"
            )
        self.name, self.k1, self.b, self.stemmer, self.stopwords = name, float(k1), float(b), stemmer, stopwords

    def fingerprint(self) -> Mapping[str, Any]:
        """The parameters and the versions of the libraries."""
        return {
            "retriever": "bm25 1",
            "k1": self.k1,
            "b": self.b,
            "stemmer": self.stemmer,
            "stopwords": self.stopwords,
            "bm25s": version("bm25s"),
            "PyStemmer": version("PyStemmer"),
        }

    def retrieve(self, collection: Collection, queries: NDArray[np.int64], depth: int, store: Store) -> Run:
        """The best passages of each query; passages that share no term with it are not retrieved."""
        import bm25s

        key = {**self.fingerprint(), "collection": collection.fingerprint}
        index = bm25s.BM25.load(str(store.get("bm25", key, lambda folder: self._index(collection, folder))), mmap=True)
        depth = min(depth, len(collection.passages))
        parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
        with tracked(f"{self.name}: {len(queries):,} queries", len(queries)) as advance:
            for start in range(0, len(queries), CHUNK):
                some = queries[start : start + CHUNK]
                tokens = self._tokens(collection.queries.texts(some))
                found, scores = index.retrieve(tokens, k=depth, show_progress=False)
                hit = scores > 0
                rows = np.broadcast_to(some[:, None], found.shape)
                parts.append((rows[hit], found[hit].astype(np.int64), scores[hit].astype(np.float32)))
                advance(len(some))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        return run_of(self.name, columns[0], columns[1], columns[2])

    def _index(self, collection: Collection, folder: Path) -> None:
        import bm25s

        log.info("indexing %s passages for BM25", f"{len(collection.passages):,}")
        texts = [text for batch in collection.passages.text_batches() for text in batch]
        index = bm25s.BM25(k1=self.k1, b=self.b, method="lucene")
        index.index(self._tokens(texts), show_progress=False)
        index.save(str(folder))

    def _tokens(self, texts: list[str]) -> Any:
        import bm25s
        import Stemmer

        stemmer = Stemmer.Stemmer(self.stemmer) if self.stemmer is not None else None
        return bm25s.tokenize(texts, stopwords=self.stopwords or [], stemmer=stemmer, show_progress=False)
