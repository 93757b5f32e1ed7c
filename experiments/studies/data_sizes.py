"""Count the passages and queries of a job's data before it is read."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.common.stage_rates import BYTES_A_PASSAGE, LONGER
from experiments.config import Experiment, compose
from experiments.data.collection import Collection, open_collection
from experiments.data.splits import DEV, TEST, TRAIN
from experiments.jobs.prepare import splits_of
from experiments.studies.cost_estimate import NotThereError, ReadOnlyCache, counts_of, queries_of

HEAPS = 0.7  # exponent by which the different words of a text grow with its length


@dataclass(frozen=True)
class DataSize:
    """A data set. ``collection``: None if it is not in the cache. ``rows``: query rows of a split where it is, else
    their number, or None if no one knows it. ``bytes_a_passage``: of text, on average.
    """

    name: str
    collection: Collection | None
    passages: int | None
    rows: Mapping[str, NDArray[np.int64] | int | None]
    bytes_a_passage: float = BYTES_A_PASSAGE

    @property
    def length(self) -> float:
        """How many times longer its texts are than those of the collection that rates were measured on."""
        return self.bytes_a_passage / BYTES_A_PASSAGE

    @property
    def entries(self) -> float:
        """How many times more different words its texts have, by Heaps' law: what BM25 keeps and adds up."""
        return float(self.length**HEAPS)

    def queries(self, split: str) -> int | None:
        """Return the number of a split's queries."""
        rows = self.rows.get(split)
        return len(rows) if isinstance(rows, np.ndarray) else rows


def size_of(experiment: Experiment) -> DataSize:
    """Open the data of a job if it is in the cache, else return what its source says of its size."""
    source = compose.source_of(experiment)
    needed = (TRAIN, TEST) if experiment.model.trains else (TEST,)
    try:
        collection = open_collection(source, ReadOnlyCache(experiment.cache))
    except NotThereError:
        said, limits = counts_of(source), experiment.data.queries
        rows = {
            TRAIN: _least(said.get(TRAIN), limits.train),
            DEV: _least(said.get(DEV, experiment.data.carve_dev), limits.dev),
            TEST: queries_of(experiment, source).test,
        }
        return DataSize(source.name, None, said.get("passages"), rows, LONGER.get(source.name, BYTES_A_PASSAGE))
    splits = splits_of(experiment, collection, needed)
    queries = {name: split.queries for name, split in splits.items()}
    passages = len(collection.passages)
    return DataSize(source.name, collection, passages, queries, collection.passages.path.stat().st_size / passages)


def _least(*counts: int | None) -> int | None:
    return min((count for count in counts if count is not None), default=None)
