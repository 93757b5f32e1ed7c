"""Label the passages of training groups. Shapes: N passages of a group."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.data.collection import Qrels
from experiments.data.ragged import Rows


@dataclass(frozen=True)
class Labels:
    """Judged grades of a group's positives. ``positives``: training query row -> rows of its positives."""

    positives: Mapping[int, Rows]
    qrels: Qrels

    def of(self, query: int, passages: Rows) -> NDArray[np.float32]:
        """Return the grade of each passage (N,) that is a positive of a query row, and 0 for any other."""
        labels_N = np.zeros(len(passages), np.float32)
        positive_N = np.isin(passages, self.positives[query])
        at = int(np.searchsorted(self.qrels.queries, query))
        judged = self.qrels.passages[at]
        order = np.argsort(judged, kind="stable")
        places = order[np.searchsorted(judged, passages[positive_N], sorter=order)]
        labels_N[positive_N] = self.qrels.grades[at][places]
        return labels_N
