"""First stages on their own, without any training: ``python -m experiments.retrieve first_stage=[bm25,colbert] ...``.

Makes the run of each first stage over the queries of one split, measures it, and writes it as a TREC file below
``outputs/<study>/runs``. Takes the keys of ``experiments.train``; ``retrieve.split=dev`` looks at another split than
test.
"""

import logging
import time
from dataclasses import replace
from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich import box
from rich.console import Console
from rich.table import Table

from experiments import composition, launch
from experiments.data.collection import open_collection
from experiments.evaluation.measures import evaluate
from experiments.retrieval.retriever import run_for
from experiments.retrieval.run import write_trec
from experiments.store import Store
from experiments.studies.preparation import relevance_of, splits_of
from experiments.studies.words import proper_name

FOLDER = "runs"  # below the study's

composition.register(lambda config: FOLDER)
log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="../conf", config_name="config")
def main(config: DictConfig) -> None:
    """Measure the first stages of a config and print them as a table."""
    experiment = composition.check(config)
    split = experiment.retrieve.split
    # The negatives' source is not looked at here, so it need not be made.
    negatives = replace(experiment.negatives, source=experiment.first_stage[0])
    experiment = replace(experiment, negatives=negatives)
    parts = launch.parts_of(experiment)
    store = Store(experiment.cache)
    collection = open_collection(parts.source, store, experiment.data.ignore_identical_ids)
    one = splits_of(experiment, collection, needed=(split,))[split]
    relevance = relevance_of(collection, one)
    folder = Path(experiment.outputs) / experiment.study / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in ("first stage", *experiment.measures, "passages a query", "seconds"):
        table.add_column(column, justify="left" if column == "first stage" else "right")
    for name in experiment.first_stage:
        began = time.monotonic()
        run = run_for(parts.retrievers[name], collection, one.queries, experiment.first_stage_depth, store)
        found = evaluate(run, relevance, experiment.measures).mean
        write_trec(run, collection, folder / f"{name}.{split}.trec.gz")
        values = [f"{found[measure]:.4f}" for measure in experiment.measures]
        a_query = len(run.passages.values) / max(1, len(one.queries))
        table.add_row(proper_name(name), *values, f"{a_query:.1f}", f"{time.monotonic() - began:.1f}")
    console = Console(highlight=False)
    console.print(f"{collection.name}, {len(one.queries):,} {split} queries\n", style="bold")
    console.print(table)
    console.print()
    console.print(str(folder), soft_wrap=True)


if __name__ == "__main__":
    launch.entry(main)
