"""What was drawn: every group of a training as a file, and a summary of where its negatives came from and where they
stood in the ranking of their source.
"""

import gzip
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.progress import tracked
from experiments.data.batches.groups import Groups, TrainingGroups
from experiments.data.collection import Collection
from experiments.data.ids import escaped
from experiments.data.run import Run
from experiments.negatives.sampler import NegativeSampler

PERCENTILES = (5, 25, 50, 75, 95)


def write_audit(
    groups: TrainingGroups, sampler: NegativeSampler, steps: int, collection: Collection, path: Path
) -> dict[str, Any]:
    """Write ``epoch, query, positive, negatives`` (ids, tab-separated, the negatives by spaces and as run files have
    them) for every group of ``steps`` steps.

    As draws are a pure function of the seed, the file is drawn anew here and needs no book-keeping during the training.
    Returns the summary: counts; ranks of the negatives in the run of the source that each was drawn from (1 is the
    top), over all and by source; and the exceptions to the rule with what the filters dropped.
    """
    ranks: dict[str, list[NDArray[np.int64]]] = {name: [] for name in sampler.sources}
    drawn: set[int] = set()
    queries: set[int] = set()
    repeated = epochs = 0
    with (
        gzip.open(path, "wt", encoding="utf-8") as file,
        tracked("writing the drawn negatives, steps", steps) as advance,
    ):
        file.write("epoch\tquery\tpositive\tnegatives\n")
        for step in range(steps):
            some = groups.groups(step)
            for line in _lines(some, collection):
                file.write(line)
            for query, epoch in zip(some.queries_Q.tolist(), some.epochs_Q.tolist(), strict=True):
                negatives, sources = sampler.drawn(query, epoch)
                for source in np.unique(sources).tolist():
                    name = sampler.sources[source]
                    ranks[name].append(ranks_of(sampler.runs[name], query, negatives[sources == source]))
                drawn.update(negatives.tolist())
                repeated += len(negatives) - len(np.unique(negatives))
                queries.add(query)
            epochs = int(some.epochs_Q.max()) + 1
            advance(1)
    by_source = {name: np.concatenate([np.empty(0, np.int64), *some]) for name, some in ranks.items()}
    every = np.concatenate(list(by_source.values()))
    return {
        "source": sampler.source,
        "groups": steps * groups.queries_per_step,
        "epochs_begun": epochs,
        "queries": len(queries),
        "training_queries": len(sampler.queries),
        "negatives_drawn": len(every),
        "distinct_negatives": len(drawn),
        "repeated_within_a_group": repeated,
        "rank_in_source": _summary(every),
        "by_source": {name: _of_source(some, len(every)) for name, some in by_source.items()},
        "exceptions": asdict(sampler.report),
    }


def ranks_of(run: Run, query: int, passages: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ranks (1 is the top) of some passages that a run has for a query row."""
    ranking = run.ranking(query)
    order = np.argsort(ranking, kind="stable")
    ranks: NDArray[np.int64] = order[np.searchsorted(ranking, passages, sorter=order)] + 1
    return ranks


def _lines(groups: Groups, collection: Collection) -> Iterator[str]:
    query_ids = collection.queries.ids(groups.queries_Q)
    flat = [escaped(passage_id) for passage_id in collection.passages.ids(groups.passages_QN.ravel())]
    width = groups.passages_QN.shape[1]
    for i, query_id in enumerate(query_ids):
        positive, *negatives = flat[i * width : (i + 1) * width]
        yield f"{groups.epochs_Q[i]}\t{escaped(query_id)}\t{positive}\t{' '.join(negatives)}\n"


def _of_source(ranks: NDArray[Any], drawn: int) -> dict[str, Any]:
    summary = _summary(ranks) if len(ranks) else None
    return {"negatives_drawn": len(ranks), "share": len(ranks) / drawn, "rank_in_source": summary}


def _summary(ranks: NDArray[Any]) -> dict[str, float]:
    return {"mean": float(ranks.mean()), **{f"p{q}": float(np.percentile(ranks, q)) for q in PERCENTILES}}
