"""What the layers of a model know: ``python -m experiments.probe checkpoint=outputs/<study>/<job>/model``.

Measures every layer of a cross-encoder, a public one or one trained here, or of a plain backbone, as an embedder: over
the whole collection and on each first stage. Takes the keys of ``experiments.train``; writes into
``outputs/<study>/probe-...``.
"""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import hydra
from omegaconf import DictConfig
from rich.console import Console

from experiments.common.cache import Store, fingerprint, write_json
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.files import CONF
from experiments.config.identity import folder_name
from experiments.data.collection import open_collection
from experiments.jobs import hydra_app
from experiments.jobs.prepare import relevance_of, splits_of
from experiments.jobs.prerequisites import components_of
from experiments.jobs.probe_layers import probe_stage
from experiments.jobs.trainer import make_logger, tracking_of
from experiments.probing.model import load_model
from experiments.reporting.plots.figure import save_figures
from experiments.reporting.plots.layers import probe_figures
from experiments.reporting.tables.layers import probe_table
from experiments.reporting.tables.terminal import print_tables
from experiments.retrieval.retriever import run_for
from experiments.tracking.wandb_job import RunIdentity

compose.register(partial(folder_name, "probe"))
log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(config: DictConfig) -> None:
    """Probe a checkpoint on the test queries, print the table, write and log it."""
    experiment = compose.check(config)
    if experiment.checkpoint is None:
        raise ExperimentError("checkpoint must be given: add checkpoint=... (a folder or hub id) to the command")
    negatives = replace(experiment.negatives, source=experiment.first_stage[0])
    parts, store = components_of(replace(experiment, negatives=negatives)), Store(experiment.cache)
    model = load_model(experiment.checkpoint)
    collection = open_collection(parts.source, store, experiment.data.ignore_identical_ids)
    test = splits_of(experiment, collection, needed=("test",))["test"]
    depth = experiment.first_stage_depth
    runs = {
        name: run_for(parts.retrievers[name], collection, test.queries, depth, store) for name in experiment.first_stage
    }
    settings = compose.plain(config)
    name = folder_name("probe", settings)
    study = Path(experiment.outputs) / experiment.study
    folder = study / name
    folder.mkdir(parents=True, exist_ok=True)
    identity = RunIdentity(
        study=experiment.study,
        name=name,
        id=fingerprint({"study": experiment.study, "probe": name}),
        tags=(f"data={collection.name}", f"pairing={experiment.probe.pairing}"),
        config=settings,
        job_type="probe",
    )
    with tracking_of(make_logger(experiment.logger, parts.make, identity, study, folder)) as tracking:
        relevance = relevance_of(collection, test)
        found = probe_stage(experiment, model, collection, relevance, runs, folder, tracking, store)
    write_json(folder / "probe.json", found)
    save_figures(probe_figures(found, collection.name), folder)
    print_tables([probe_table(found)], Console(highlight=False))
    print(folder)


if __name__ == "__main__":
    hydra_app.entry(main)
