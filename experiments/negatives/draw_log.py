"""Log the drawn negatives of a training: every group in a file, and a summary of their sources and ranks."""

import gzip
from collections.abc import Iterator
from dataclasses import asdict
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.disk import replacing
from experiments.common.progress import tracked
from experiments.data.batches.groups import Groups, TrainingGroups, concatenate
from experiments.data.collection import Collection
from experiments.data.ids import escaped
from experiments.data.whole_collection import WholeCollection
from experiments.negatives.draws import ranks_of
from experiments.negatives.run_lists import RunLists
from experiments.negatives.sampler import NegativeSampler

PERCENTILES = (5, 25, 50, 75, 95)
STEPS_AT_ONCE = 64  # ids are looked up for many groups together


def write_audit(
    groups: TrainingGroups, sampler: NegativeSampler | RunLists, steps: int, collection: Collection, path: Path
) -> dict[str, Any]:
    """Write ``epoch, query, positive, negatives`` for every group of ``steps`` steps; return a summary.

    Columns are ids separated by tabs, negatives by spaces, escaped as in run files. Of a list in run order the
    positives are separated by spaces too, and the negatives keep its order. The groups are drawn again from the seed,
    so training keeps no record. The summary holds the draw, counts, ranks of the negatives in their source's run
    (1 is the top; a whole collection has none) overall and by source, the exceptions to the rule, and what the filters
    dropped.
    """
    tally = _Tally(sampler)
    with (
        replacing(path) as packed,
        gzip.open(packed, "wt", encoding="utf-8") as file,
        tracked("writing the drawn negatives, steps", steps) as advance,
    ):
        file.write("epoch\tquery\tpositive\tnegatives\n")
        for first in range(0, steps, STEPS_AT_ONCE):
            several = [groups.groups(step) for step in range(first, min(first + STEPS_AT_ONCE, steps))]
            drawn_groups = concatenate(several)
            file.writelines(_lines(drawn_groups, collection))
            tally.add(drawn_groups)
            advance(len(several))
    return tally.summary(steps * groups.queries_per_step)


class _Tally:
    """Count the negatives of groups and their ranks, by source."""

    def __init__(self, sampler: NegativeSampler | RunLists) -> None:
        self.sampler = sampler
        self.ranks: dict[str, list[NDArray[np.int64]]] = {name: [] for name in sampler.sources}
        self.counts = dict.fromkeys(sampler.sources, 0)
        self.drawn: set[int] = set()
        self.queries: set[int] = set()
        self.repeated = self.epochs = 0

    def add(self, groups: Groups) -> None:
        """Count the groups of some steps."""
        queries, epochs = groups.queries_Q.tolist(), groups.epochs_Q.tolist()
        for query, epoch, passages in zip(queries, epochs, _negatives(groups), strict=True):
            for name, own in _by_source(self.sampler, query, epoch, passages):
                self.counts[name] += len(own)
                if not isinstance(self.sampler.runs[name], WholeCollection):
                    self.ranks[name].append(ranks_of(self.sampler.runs[name], query, own))
            self.drawn.update(passages.tolist())
            self.repeated += len(passages) - len(set(passages.tolist()))
        self.queries.update(queries)
        self.epochs = max(epochs) + 1

    def summary(self, groups: int) -> dict[str, Any]:
        """Return what ``write_audit`` returns. ``groups``: number of groups."""
        sampler, total = self.sampler, sum(self.counts.values())
        by_source = {name: np.concatenate([np.empty(0, np.int64), *parts]) for name, parts in self.ranks.items()}
        return {
            "source": sampler.source,
            "draw": sampler.rule.draw,
            "groups": groups,
            "epochs_begun": self.epochs,
            "queries": len(self.queries),
            "training_queries": len(sampler.queries),
            "negatives_drawn": total,
            "distinct_negatives": len(self.drawn),
            "repeated_within_a_group": self.repeated,
            "rank_in_source": _summary(np.concatenate(list(by_source.values()))),
            "by_source": {
                name: {
                    "negatives_drawn": self.counts[name],
                    "share": self.counts[name] / total if total else 0.0,
                    "rank_in_source": _summary(own),
                }
                for name, own in by_source.items()
            },
            "exceptions": asdict(sampler.report),
        }


def _by_source(
    sampler: NegativeSampler | RunLists, query: int, epoch: int, negatives: NDArray[np.int64]
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the sources of a group's negatives, each with those drawn from it."""
    if isinstance(sampler, RunLists) or len(sampler.sources) == 1:
        yield sampler.sources[0], negatives
        return
    drawn, sources = sampler.drawn(query, epoch)
    for source in np.unique(sources).tolist():
        yield sampler.sources[source], drawn[sources == source]


def _positive(groups: Groups) -> NDArray[np.bool_]:
    """Return which passages (Q, N) are positives."""
    if groups.labels_QN is not None:
        return groups.labels_QN > 0
    return np.broadcast_to(np.arange(groups.passages_QN.shape[1]) == 0, groups.passages_QN.shape)


def _negatives(groups: Groups) -> list[NDArray[np.int64]]:
    return [own[~positive] for own, positive in zip(groups.passages_QN, _positive(groups), strict=True)]


def _lines(groups: Groups, collection: Collection) -> Iterator[str]:
    query_ids = collection.queries.ids(groups.queries_Q)
    flat = [escaped(passage_id) for passage_id in collection.passages.ids(groups.passages_QN.ravel())]
    width, positive_QN = groups.passages_QN.shape[1], _positive(groups)
    for i, query_id in enumerate(query_ids):
        own = flat[i * width : (i + 1) * width]
        positives = compress(own, positive_QN[i])
        negatives = compress(own, ~positive_QN[i])
        yield f"{groups.epochs_Q[i]}\t{escaped(query_id)}\t{' '.join(positives)}\t{' '.join(negatives)}\n"


def _summary(ranks: NDArray[Any]) -> dict[str, float] | None:
    if not len(ranks):
        return None
    return {"mean": float(ranks.mean()), **{f"p{q}": float(np.percentile(ranks, q)) for q in PERCENTILES}}
