"""BM25 with English stemming and stop words, through bm25s."""

import logging
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.common.progress import tracked
from experiments.data.collection import Collection
from experiments.data.run import Run, run_in_order
from experiments.retrieval.topk import best_matches

log = logging.getLogger(__name__)

CHUNK = 2_000  # queries scored between two steps of the progress bar


class BM25:
    """Okapi BM25 (Robertson et al. 1994; Lucene's form of the IDF).

    ``k1``: saturation of term frequency, 0 or more. ``b``: weight of length normalisation, 0 to 1. The defaults are
    Anserini's untuned ones. ``stemmer``: a Snowball language or None. ``stopwords``: a bm25s list such as ``en``, or
    None.

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
        key = {**self.fingerprint(), "collection": collection.fingerprint}
        folder = cache.get("bm25", key, lambda target: self._index(collection, target))
        index = _bm25s().BM25.load(str(folder), mmap=True)
        passages: list[NDArray[np.int64]] = []
        scores: list[NDArray[np.float32]] = []
        with tracked(f"{self.name}: {len(queries):,} queries", len(queries)) as advance:
            for start in range(0, len(queries), CHUNK):
                words = self._tokens(collection.queries.texts(queries[start : start + CHUNK]), return_ids=False)
                for query_words in words:
                    terms = index.get_tokens_ids(query_words)
                    scores_P = index.get_scores_from_ids(terms) if terms else np.empty(0, np.float32)
                    passages.append(best_matches(scores_P, depth))
                    scores.append(scores_P[passages[-1]])
                advance(len(words))
        return run_in_order(
            self.name,
            np.repeat(queries, [len(rows) for rows in passages]),
            np.concatenate([np.empty(0, np.int64), *passages]),
            np.concatenate([np.empty(0, np.float32), *scores]),
        )

    def _index(self, collection: Collection, folder: Path) -> None:
        log.info("indexing %s passages for BM25", f"{len(collection.passages):,}")
        texts = [text for batch in collection.passages.text_batches() for text in batch]
        tokens = self._tokens(texts)
        if not any(tokens.ids):
            raise ExperimentError(
                f"retrievers.{self.name}: none of the {len(texts):,} passages of {collection.name!r} has a word that "
                f"BM25 can index (two letters or digits, no stop word): check the texts of the passages"
            )
        index = _bm25s().BM25(k1=self.k1, b=self.b, method="lucene")
        index.index(tokens, show_progress=False)
        index.save(str(folder))

    def _tokens(self, texts: list[str], return_ids: bool = True) -> Any:
        import Stemmer

        stemmer = Stemmer.Stemmer(self.stemmer) if self.stemmer is not None else None
        return _bm25s().tokenize(
            texts, stopwords=self.stopwords or [], stemmer=stemmer, return_ids=return_ids, show_progress=False
        )


def _bm25s() -> Any:
    """Import bm25s and limit its logger to warnings."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)
    return bm25s
