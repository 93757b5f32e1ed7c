"""Measure each layer of a model as an embedder: ``python -m experiments.probe checkpoint=outputs/<study>/<job>/model``.

The model is a cross-encoder, public or trained here, or a plain backbone; it searches the whole collection and re-ranks
each first stage. Takes the keys of ``experiments.train``; writes into ``outputs/<study>/probe-...``.
"""

from functools import partial

import hydra
from omegaconf import DictConfig
from rich.console import Console

from experiments.config import compose
from experiments.config.files import CONF
from experiments.config.identity import folder_name
from experiments.jobs import hydra_app
from experiments.jobs.open_evaluation import without_training
from experiments.jobs.prerequisites import components_of
from experiments.reporting.plots.figure import save_figures
from experiments.reporting.plots.layers import probe_figures
from experiments.reporting.tables.layers import probe_table
from experiments.reporting.tables.terminal import print_tables

compose.register(partial(folder_name, "probe"))


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(config: DictConfig) -> None:
    """Probe a checkpoint on the test queries, print the table, write and log it."""
    from experiments.jobs.probe_checkpoint import check_checkpoint, probe_checkpoint  # imports torch

    experiment = compose.check(config)
    check_checkpoint(experiment)
    parts = components_of(without_training(experiment, experiment.first_stage))
    found, folder = probe_checkpoint(experiment, compose.plain(config), parts)
    save_figures(probe_figures(found, found["data"]), folder)
    print_tables([probe_table(found)], Console(highlight=False))
    print(folder)


if __name__ == "__main__":
    hydra_app.entry(main)
