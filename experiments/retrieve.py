"""First stages on their own, without any training: ``python -m experiments.retrieve first_stage=[bm25,colbert] ...``.

Makes the run of each first stage over the queries of one split, measures it, and keeps all of it like a job in
``outputs/<study>/runs/retrieve-<split>-<hash>``: ``metrics.json``, ``per_query.<first stage>.tsv``,
``run.<first stage>.trec.gz``. The folder ``runs`` is read by ``experiments.compare``, ``experiments.report`` and
``experiments.study verify`` as a study's is. Takes the keys of ``experiments.train``; ``retrieve.split=dev`` looks at
another split than test. What was measured before is shown again, unless the collection or a retriever changed.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig
from rich.console import Console

from experiments.common.cache import Store
from experiments.config import Experiment, compose
from experiments.config.files import CONF
from experiments.config.identity import job_hash, located
from experiments.data.collection import Collection, open_collection
from experiments.data.run import Run, digest_of, write_trec
from experiments.data.splits import Split
from experiments.evaluation.measure_names import mean_name
from experiments.evaluation.measures import evaluate
from experiments.job_files.job_folder import JobFolder
from experiments.job_files.per_query import PerQuery, per_query_path, write_per_query
from experiments.jobs import hydra_app
from experiments.jobs.components import Components
from experiments.jobs.inputs import first_stage_inputs_of
from experiments.jobs.prepare import relevance_of, splits_of
from experiments.jobs.prerequisites import components_of
from experiments.reporting.names import proper_name
from experiments.reporting.tables.table import Table
from experiments.reporting.tables.terminal import print_tables
from experiments.retrieval.retriever import run_for

FOLDER = "runs"  # below the study's
FIRST_STAGE_ALONE = "none"  # the label ``loss`` of such a job: nothing was trained

log = logging.getLogger(__name__)


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a resolved config that decide the runs; the negatives' source is not looked at, so it need not
    be made.
    """
    return {**config, "negatives": {**config["negatives"], "source": config["first_stage"][0]}}


def folder_of(config: Mapping[str, Any]) -> str:
    """The folder of a resolved config's results below its study's, such as ``runs/retrieve-test-1a2b3c4d``."""
    return f"{FOLDER}/retrieve-{config['retrieve']['split']}-{job_hash(settings_of(config))}"


compose.register(folder_of)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(config: DictConfig) -> None:
    """Measure the first stages of a config and print them as a table."""
    experiment = compose.check(config)
    settings = settings_of(compose.plain(config))
    negatives = replace(experiment.negatives, source=experiment.first_stage[0])
    experiment = replace(experiment, negatives=negatives)
    metrics, folder = retrieve(experiment, settings, components_of(experiment))
    found, data = metrics["test"], metrics["labels"]["data"].removesuffix(f"/{metrics['split']}")
    console = Console(highlight=False)
    queries = next(iter(found.values()))["queries"]
    title = f"{data}, {queries:,} {metrics['split']} queries"
    print_tables([table_of(found, experiment.measures, title)], console, widen=False)
    console.print(str(folder), soft_wrap=True)


def retrieve(experiment: Experiment, config: Mapping[str, Any], parts: Components) -> tuple[dict[str, Any], Path]:
    """Measure the first stages of an experiment, or read what was measured before; the metrics and their folder.

    Raises:
        ExperimentError: the data set has no such split, or a retriever cannot be used.
    """
    split, store, config = experiment.retrieve.split, Store(experiment.cache), located(config)
    job = JobFolder(Path(experiment.outputs) / experiment.study / folder_of(config), job_hash(settings_of(config)))
    with job.locked():
        collection = open_collection(parts.source, store, experiment.data.ignore_identical_ids)
        inputs = first_stage_inputs_of(parts, collection.fingerprint)
        done = job.finished_with(inputs)
        if done is not None:
            log.info("measured before: %s", job.folder)
            return done, job.folder
        job.start(config, inputs)
        try:
            queries = splits_of(experiment, collection, needed=(split,))[split]
            found = {}
            for name in experiment.first_stage:
                began = time.monotonic()
                run = run_for(parts.retrievers[name], collection, queries.queries, experiment.first_stage_depth, store)
                found[name] = _measured(name, run, queries, collection, experiment.measures, job)
                found[name]["seconds"] = round(time.monotonic() - began, 3)
            data = experiment.data
            # Values of other queries are of other data for a table.
            place = collection.name if split == "test" else f"{collection.name}/{split}"
            labels = {"loss": FIRST_STAGE_ALONE, "seed": experiment.seed, "data": place}
            labels |= {"folds": data.folds, "fold": data.fold} if data.folds else {}
            metrics = {"labels": labels, "split": split, "test": found, "compute": {"seconds": job.seconds}}
        except BaseException as error:
            job.fail(error)
            raise
        job.finish(metrics)
    return metrics, job.folder


def _measured(
    name: str, run: Run, split: Split, collection: Collection, measures: Sequence[str], job: JobFolder
) -> dict[str, Any]:
    """Measure a run and write it into a folder, in the form of a job whose model changed nothing."""
    found = evaluate(run, relevance_of(collection, split), measures)
    write_trec(run, collection, job.folder / f"run.{name}.trec.gz")
    table = PerQuery(tuple(collection.queries.ids(found.queries)), found.per_query, found.per_query)
    write_per_query(per_query_path(job.folder, name), table)
    return {
        **found.mean,
        "first_stage": found.mean,
        "first_stage_digest": digest_of(run),
        "queries": len(found.queries),
        "without_relevant": split.without_relevant,
        "pairs": len(run.passages.values),
        "ties": 0,
    }


def table_of(found: Mapping[str, Mapping[str, Any]], measures: Sequence[str], title: str) -> Table:
    """Return the measures as rows and the first stages as columns."""
    texts = [
        [
            *(f"{values[measure]:.4f}" for measure in measures),
            f"{values['pairs'] / max(1, values['queries']):.1f}",
            f"{values['seconds']:.1f}",
        ]
        for values in found.values()
    ]
    names = [*map(mean_name, measures), "passages a query", "seconds"]
    columns = ("", *map(proper_name, found))
    return Table(title, columns, tuple(zip(names, *texts, strict=True)), frozenset({""}))


if __name__ == "__main__":
    hydra_app.entry(main)
