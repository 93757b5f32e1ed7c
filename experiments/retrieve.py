"""Measure first stages without any training: ``python -m experiments.retrieve first_stage=[bm25,colbert] ...``.

Writes ``metrics.json``, ``per_query.<first stage>.tsv`` and ``run.<first stage>.trec.gz`` like a job into
``outputs/<study>/runs/retrieve-<split>-<hash>``; ``experiments.compare``, ``report`` and ``study verify`` read the
folder ``runs`` as a study. Takes the keys of ``experiments.train``; ``retrieve.split=dev`` selects another split than
test. Earlier measurements are shown again, unless the collection or a retriever changed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import hydra
from omegaconf import DictConfig
from rich.console import Console

from experiments.config import compose
from experiments.config.files import CONF
from experiments.evaluation.measure_names import mean_name
from experiments.jobs import hydra_app
from experiments.jobs.measure_first_stages import folder_of, measure_first_stages, settings_of
from experiments.jobs.open_evaluation import without_training
from experiments.jobs.prerequisites import components_of
from experiments.reporting.names import proper_name
from experiments.reporting.tables.table import Table
from experiments.reporting.tables.terminal import print_tables

compose.register(folder_of)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(config: DictConfig) -> None:
    """Measure the first stages of a config and print them as a table."""
    experiment = compose.check(config)
    experiment = without_training(experiment, experiment.first_stage)
    settings = settings_of(compose.plain(config))
    metrics, folder = measure_first_stages(experiment, settings, components_of(experiment))
    found, data = metrics["test"], metrics["labels"]["data"].removesuffix(f"/{metrics['split']}")
    console = Console(highlight=False)
    queries = next(iter(found.values()))["queries"]
    title = f"{data}, {queries:,} {metrics['split']} queries"
    print_tables([table_of(found, experiment.measures, title)], console, widen=False)
    console.print(str(folder), soft_wrap=True)


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
