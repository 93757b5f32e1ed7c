"""Use every passage of the collection as a source of negatives."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.data.collection import Collection
from experiments.data.run import Run
from experiments.data.whole_collection import WholeCollection


class EveryPassage:
    """The whole collection, from which negatives are drawn at random. It ranks nothing, so it is no first stage."""

    source_only = "which ranks nothing"
    ranks_nothing = True  # no run to keep in the cache

    def __init__(self, name: str = "collection") -> None:
        self.name = name

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the version; the collection's fingerprint covers the passages."""
        return {"retriever": "every_passage 1"}

    def retrieve(self, collection: Collection, queries: NDArray[np.int64], depth: int, cache: Cache) -> Run:
        """Return a run that ranks nothing and has every passage, whatever the queries and the depth."""
        return WholeCollection.of(self.name, len(collection.passages))
