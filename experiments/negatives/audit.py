"""What was drawn: every group of a training as a file, and a summary of where its negatives stood in the source's
ranking.
"""

import gzip
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.collection import Collection
from experiments.data.groups import Groups, TrainingGroups
from experiments.progress import tracked
from experiments.retrieval.run import Run


def write_audit(groups: TrainingGroups, steps: int, run: Run, collection: Collection, path: Path) -> dict[str, Any]:
    """Write ``epoch, query, positive, negatives`` (ids, tab-separated, the negatives by spaces) for every group of
    ``steps`` steps.

    As draws are a pure function of the seed, the file is drawn anew here and needs no book-keeping during the training.
    ``run``: the source's run. Returns the summary: counts, ranks of the negatives in the run (1 is the top), and the
    exceptions to the rule.
    """
    ranks: list[np.ndarray[Any, Any]] = []
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
            for query, passages in zip(some.queries_Q.tolist(), some.passages_QN, strict=True):
                negatives = passages[1:]
                ranks.append(_ranks(run.ranking(query), negatives))
                drawn.update(negatives.tolist())
                repeated += len(negatives) - len(np.unique(negatives))
                queries.add(query)
            epochs = int(some.epochs_Q.max()) + 1
            advance(1)
    every = np.concatenate(ranks)
    return {
        "source": run.name,
        "groups": steps * groups.queries_per_step,
        "epochs_begun": epochs,
        "queries": len(queries),
        "training_queries": len(groups.sampler.queries),
        "negatives_drawn": len(every),
        "distinct_negatives": len(drawn),
        "repeated_within_a_group": repeated,
        "rank_in_source": {
            "mean": float(every.mean()),
            **{f"p{q}": float(np.percentile(every, q)) for q in (5, 25, 50, 75, 95)},
        },
        "exceptions": asdict(groups.sampler.exceptions),
    }


def _lines(groups: Groups, collection: Collection) -> Iterator[str]:
    query_ids = collection.queries.ids(groups.queries_Q)
    flat = collection.passages.ids(groups.passages_QN.ravel())
    width = groups.passages_QN.shape[1]
    for i, query_id in enumerate(query_ids):
        positive, *negatives = flat[i * width : (i + 1) * width]
        yield f"{groups.epochs_Q[i]}\t{query_id}\t{positive}\t{' '.join(negatives)}\n"


def _ranks(ranking: np.ndarray[Any, Any], passages: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    order = np.argsort(ranking, kind="stable")
    return order[np.searchsorted(ranking, passages, sorter=order)] + 1
