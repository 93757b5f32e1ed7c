"""Find the pairs that a training draws, before it begins: its groups follow from the step alone."""

import numpy as np
from numpy.typing import NDArray

from experiments.data.batches.groups import TrainingGroups
from experiments.data.pair_values import pair_keys

AT_ONCE = 2_000_000  # keys that are held before repeated ones are dropped


def drawn_pairs(groups: TrainingGroups, steps: int, count: int) -> NDArray[np.int64]:
    """Return the distinct keys of all pairs of ``steps`` steps over all ranks, ascending. ``count``: passages of the
    collection.
    """
    distinct, held, size = np.empty(0, np.int64), [np.empty(0, np.int64)], 0
    for step in range(steps):
        drawn = groups.groups(step)
        keys = pair_keys(np.repeat(drawn.queries_Q, drawn.passages_QN.shape[1]), drawn.passages_QN.ravel(), count)
        held.append(keys)
        size += len(keys)
        if size >= AT_ONCE:
            distinct, held, size = np.unique(np.concatenate([distinct, *held])), [np.empty(0, np.int64)], 0
    return np.unique(np.concatenate([distinct, *held]))
