"""Keep what a trained model scored: no job scores a pair again that an earlier one did.

A store is the entries of one scorer in the cache, each of which holds some pairs and is never changed. Jobs that need
the same scorer take turns, so that the second finds what the first has scored.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from experiments.common.cache import MANIFEST, Cache, damage, fingerprint, manifest_of
from experiments.common.errors import ExperimentError
from experiments.data.pair_values import PairValues

KIND = "teacher_scores"
PART = 100_000  # pairs that are scored before they are written: what a killed job loses


class ScoreStore:
    """Scores of pairs by one scorer.

    ``scorer``: all that decides a score, as JSON: the content of the model and of the texts, and the settings.
    ``passages``: of the collection.
    """

    def __init__(self, cache: Cache, scorer: Mapping[str, Any], passages: int) -> None:
        self.cache, self.scorer, self.passages = cache, dict(scorer), passages

    def scores(
        self, keys_P: NDArray[np.int64], score: Callable[[NDArray[np.int64]], NDArray[np.float32]]
    ) -> PairValues:
        """Return the scores of pairs. ``keys_P``: strictly ascending. ``score``: computes those of some keys.

        Raises:
            ExperimentError: a score is not finite.
        """
        folder = self.cache.root / KIND
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{fingerprint(self.scorer)}.lock"):
            known = self._known()
            new_P = keys_P[~known.at(keys_P)[1]]
            if not len(new_P):
                self.cache.hits[KIND] = self.cache.hits.get(KIND, 0) + 1
                return known.only(keys_P)
            for start in range(0, len(new_P), PART):
                self._add(new_P[start : start + PART], score)
            return self._known().only(keys_P)

    def _add(self, keys: NDArray[np.int64], score: Callable[[NDArray[np.int64]], NDArray[np.float32]]) -> None:
        def build(target: Path) -> None:
            values = score(keys)
            if not np.isfinite(values).all():
                raise ExperimentError(f"loss.teacher gives scores that are not finite ({KIND}): choose another teacher")
            PairValues(keys, values, self.passages).save(target)

        pairs = hashlib.blake2b(keys.astype("<i8").tobytes(), digest_size=16).hexdigest()
        self.cache.get(KIND, {"scorer": self.scorer, "pairs": pairs}, build)

    def _known(self) -> PairValues:
        parts = [PairValues.load(folder, self.passages) for folder in self._entries()]
        keys = np.concatenate([np.empty(0, np.int64), *(part.keys_P for part in parts)])
        values = np.concatenate([np.empty(0, np.float32), *(part.values_P for part in parts)])
        distinct, first = np.unique(keys, return_index=True)
        return PairValues(distinct, values[first], self.passages)

    def _entries(self) -> Iterator[Path]:
        """Yield the folders of this scorer's entries that are whole."""
        own = fingerprint(self.scorer)
        for manifest in sorted((self.cache.root / KIND).glob(f"[!.]*/{MANIFEST}")):
            folder = manifest.parent
            if damage(folder) is None and fingerprint(manifest_of(folder)["key"]["scorer"]) == own:
                yield folder
