"""BM25 with English stemming and stop words, from an index on disk that may be larger than the memory."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.common.memory import notice_memory
from experiments.common.packages import version
from experiments.common.stage_rates import INDEX
from experiments.data.collection import Collection
from experiments.data.run import Run, run_in_order
from experiments.retrieval.bm25_index import build_index, open_index
from experiments.retrieval.bm25_search import search
from experiments.retrieval.words import Words, check_stemmer

log = logging.getLogger(__name__)


class BM25:
    """Okapi BM25 (Robertson et al. 1994; Lucene's form of the IDF).

    ``k1``: saturation of term frequency, 0 or more. ``b``: weight of length normalisation, 0 to 1. The defaults are
    Anserini's untuned ones. ``stemmer``: a Snowball language or None. ``stopwords``: a bm25s list such as ``en``, or
    None.

    Raises:
        ExperimentError: a parameter out of range, or a stemmer that Snowball does not have.
    """

    queries_a_part = 2_000  # a minute, where there are millions of passages

    def __init__(
        self,
        k1: float = 0.9,
        b: float = 0.4,
        stemmer: str | None = "english",
        stopwords: str | None = "en",
        name: str = "bm25",
    ) -> None:
        if k1 < 0 or not 0 <= b <= 1:
            raise ExperimentError(f"retrievers.{name}: k1 must be 0 or more and b from 0 to 1, not {k1} and {b}")
        check_stemmer(f"retrievers.{name}.stemmer", stemmer)
        self.name, self.k1, self.b, self.stemmer, self.stopwords = name, float(k1), float(b), stemmer, stopwords

    def fingerprint(self) -> Mapping[str, Any]:
        return {
            "retriever": "bm25 2",
            "k1": self.k1,
            "b": self.b,
            "stemmer": self.stemmer,
            "stopwords": self.stopwords,
            "bm25s": version("bm25s"),
            "PyStemmer": version("PyStemmer"),
        }

    def retrieve(self, collection: Collection, queries: NDArray[np.int64], depth: int, cache: Cache) -> Run:
        """Return the best passages of each query that share a term with it.

        Ties go to the lower passage row, so a shallow run is the head of a deeper one. Scores are summed in the order
        of the query's words, so they are the same on any processor.

        Raises:
            ExperimentError: no passage has an indexable word.
        """
        key = {**self.fingerprint(), "collection": collection.fingerprint, "index": 1}
        folder = cache.get("bm25", key, lambda target: self._build(collection, target), resumable=True)
        index, words = open_index(folder), self._words()
        terms = index.terms_of([words.of(text) for text in collection.queries.texts(queries)])
        found = list(search(index, terms, depth))
        return run_in_order(
            self.name,
            np.repeat(queries, [len(rows) for rows, _ in found]),
            np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in found)]),
            np.concatenate([np.empty(0, np.float32), *(scores for _, scores in found)]),
        )

    def _build(self, collection: Collection, folder: Path) -> None:
        log.info("indexing %s passages for BM25", f"{len(collection.passages):,}")
        notice_memory(f"the index of {self.name}:", INDEX, len(collection.passages), collection.passages.size)
        if not build_index(collection.passages, self._words(), self.k1, self.b, self.name, folder):
            raise ExperimentError(
                f"retrievers.{self.name}: none of the {len(collection.passages):,} passages of {collection.name!r} has "
                f"a word that BM25 can index (two letters or digits, no stop word): check the texts of the passages"
            )

    def _words(self) -> Words:
        return Words(self.stemmer, self.stopwords)
