"""Map a teacher's file of scores to the rows of a collection, once, into the cache.

Shapes: L lines of the file, P distinct pairs of the collection.
"""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache, content_digest, write_json
from experiments.common.errors import ExperimentError
from experiments.data import teacher_formats
from experiments.data.collection import Collection
from experiments.data.pair_values import PairValues, pair_keys, rows_of
from experiments.data.teacher_formats import ScoredIds

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Foreign:
    """Pairs of a file that name ids which the collection does not have: how ``many``, of how many (``of``), and one."""

    many: int
    of: int
    query: str = ""
    passage: str = ""

    def said(self) -> str:
        """Return the words of a message, empty if there are none."""
        if not self.many:
            return ""
        return (
            f" ({self.many:,} of its {self.of:,} pairs name an id that the collection does not have, such as query "
            f"{self.query!r} with passage {self.passage!r})"
        )


def values_of_file(
    path: Path, *, format: str, value: str, repeated: str, key: str, collection: Collection, cache: Cache
) -> tuple[PairValues, Foreign]:
    """Return the values of all pairs of a file that the collection has, memory-mapped, and what it lacks.

    ``format``, ``value``: see ``teacher_formats.read``. ``repeated``: whether several values of one pair are an
    ``error`` or their ``mean`` is taken. ``key``: the config key of these settings, for messages.

    Raises:
        ExperimentError: see ``teacher_formats.read``; no pair is of this collection, or a pair has several values.
    """
    entry = {
        "format": 1,
        "file": content_digest(path),
        "collection": collection.fingerprint,
        "settings": {"format": format, "value": value, "repeated": repeated},
    }

    def build(folder: Path) -> None:
        log.info("reading the teacher's scores %s", path)
        values, foreign = _mapped(teacher_formats.read(path, format, value, key), path, repeated, key, collection)
        values.save(folder)
        write_json(folder / "foreign.json", asdict(foreign))

    folder = cache.get("teacher_file", entry, build)
    foreign: dict[str, Any] = json.loads((folder / "foreign.json").read_text(encoding="utf-8"))
    return PairValues.load(folder, len(collection.passages)), Foreign(**foreign)


def _mapped(
    scored: ScoredIds, path: Path, repeated: str, key: str, collection: Collection
) -> tuple[PairValues, Foreign]:
    count = len(collection.passages)
    query_rows = collection.queries.find(scored.query_ids)
    passage_rows = collection.passages.find(scored.passage_ids)
    for kind, rows, ids in (("query", query_rows, scored.query_ids), ("passage", passage_rows, scored.passage_ids)):
        if (rows < 0).all():
            raise ExperimentError(
                f"{path}: none of its {len(rows):,} {kind} ids is of the collection {collection.name!r}, such as "
                f"{ids[0].as_py()!r}: check that the file was made for this collection"
            )
    queries_L, passages_L = query_rows[scored.queries_L], passage_rows[scored.passages_L]
    own_L = (queries_L >= 0) & (passages_L >= 0)
    strange = np.flatnonzero(~own_L)
    foreign = Foreign(len(strange), len(own_L))
    if len(strange):
        first = strange[0]
        ids = scored.query_ids[scored.queries_L[first]].as_py(), scored.passage_ids[scored.passages_L[first]].as_py()
        foreign = Foreign(len(strange), len(own_L), *ids)
    keys_L = pair_keys(queries_L[own_L], passages_L[own_L], count)
    keys_P, values_P, unequal_P = _distinct(keys_L, scored.values_L[own_L])
    if repeated == "error" and unequal_P.any():
        at = int(np.argmax(unequal_P))
        (query,), (passage,) = rows_of(keys_P[at : at + 1], count)
        low, high = (float(end(scored.values_L[own_L][keys_L == keys_P[at]])) for end in (np.min, np.max))
        raise ExperimentError(
            f"{path}: {int(unequal_P.sum()):,} pairs have several values, such as query "
            f"{collection.queries.id(query)!r} with passage {collection.passages.id(passage)!r}: {low:.6g} to "
            f"{high:.6g}; {key}.repeated=mean takes their mean"
        )
    return PairValues(keys_P, values_P, count), foreign


def _distinct(
    keys_L: NDArray[np.int64], values_L: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """Return the keys, ascending, the mean value of each, and whether its values differ."""
    order = np.argsort(keys_L, kind="stable")
    keys, values = keys_L[order], values_L[order]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else np.empty(0, np.int64)
    if len(starts) == len(keys):
        return keys, values, np.zeros(len(keys), bool)
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    means = np.add.reduceat(values.astype(np.float64), starts) / np.diff(np.append(starts, len(keys)))
    unequal = low != high
    return keys[starts], np.where(unequal, means, low).astype(np.float32), unequal
