"""A finished job as a PyTerrier transformer that re-ranks: ``pip install 'rerank-ablations[pyterrier]'``.

>>> from experiments.pyterrier import Reranker
>>> lce = Reranker("outputs/my_grid/lce-n7-bm25-s1-1a2b3c4d")
>>> pipeline = bm25 % 100 >> pt.text.get_text(index, "text") >> lce
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data.collection import open_collection
from experiments.job_files.status import DONE, status_of
from experiments.models.pair_scorer import load_scorer

try:
    import pyterrier as pt
except ImportError as error:
    raise ExperimentError("Reranker needs PyTerrier: pip install 'rerank-ablations[pyterrier]'") from error


class Reranker(pt.Transformer):  # type: ignore[misc]  # PyTerrier is an extra that the type checker does not see
    """Score the pairs of a query and a text with the model of a finished job, cut as in its training.

    ``job``: the folder of the job; its model is a cross-encoder, a ColBERT or a dual encoder. ``text_field``: the
    column of the passages' texts, written as in the training: with the title before the text where passages have one.

    Raises:
        ExperimentError: the job has not finished, or its model cannot be loaded.
    """

    def __init__(self, job: str | Path, text_field: str = "text") -> None:
        folder = Path(job)
        if status_of(folder).state != DONE:
            raise ExperimentError(
                f"{folder} is no finished job: name a folder like outputs/my_grid/lce-n7-bm25-s1-1a2b3c4d"
            )
        self.scorer, self.text_field = load_scorer(str(folder / "model"), "job"), text_field

    def transform(self, rows: Any) -> Any:
        """Return candidates (``qid``, ``query``, ``docno`` and the text) with the model's ``score`` and ``rank``."""
        pt.validate.columns(rows, includes=["qid", "query", "docno", self.text_field])
        query_N, queries = rows["query"].factorize()
        text_N, texts = rows[self.text_field].factorize()
        scores_N: Any = []
        if len(rows):
            with tempfile.TemporaryDirectory() as folder:
                cache = Cache(folder)
                collection = open_collection(_Texts(list(queries), list(texts)), cache)
                scores_N = self.scorer.computed(collection, query_N, text_N, cache)
        return pt.model.add_ranks(rows.assign(score=scores_N))


@dataclass
class _Texts:
    """Queries and passages as a data source; the number of a text is its id."""

    asked: Sequence[str]
    given: Sequence[str]
    name: str = "the candidates"

    def fingerprint(self) -> Mapping[str, Any]:
        return {"queries": self.asked, "passages": self.given}

    def passages(self) -> Iterator[tuple[str, str]]:
        return ((str(row), text) for row, text in enumerate(self.given))

    def queries(self) -> Iterator[tuple[str, str]]:
        return ((str(row), text) for row, text in enumerate(self.asked))

    def qrels(self) -> Mapping[str, Iterator[tuple[str, str, int]]]:
        return {"test": iter([("0", "0", 1)])}  # a collection has judgements; nothing is measured here
