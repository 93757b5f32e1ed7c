"""Count false negatives among the negatives: ``python -m experiments.audit data=beir data.path=my/folder``.

Draws negatives from each source and depth before any training, and reports how many look relevant: near-duplicates of a
positive, passages judged relevant, passages that answer a twin of the query or that a trained model ranks above the
positive. Takes the keys of ``experiments.train`` and ``audit``; writes into ``outputs/<study>/audit-...``.
"""

from functools import partial

import hydra
from omegaconf import DictConfig
from rich.console import Console

from experiments.common.cache import write_atomic
from experiments.config import compose
from experiments.config.files import CONF
from experiments.config.identity import folder_name
from experiments.jobs import hydra_app
from experiments.jobs.audit_negatives import audit, audited_sources, of_audited_sources, summary_of, tags_of
from experiments.jobs.open_evaluation import evaluation_folder, open_tracking
from experiments.jobs.prerequisites import components_of
from experiments.reporting.plots.false_negatives import audit_figure
from experiments.reporting.plots.figure import save_figures
from experiments.reporting.tables.false_negatives import audit_files, cell_rows, pair_rows, print_audit

compose.register(partial(folder_name, "audit"))


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(config: DictConfig) -> None:
    """Audit the negatives of a config, print the table, write it and log it."""
    asked, settings = compose.check(config), compose.plain(config)
    experiment = of_audited_sources(asked)
    parts = components_of(experiment)
    found = audit(experiment, audited_sources(asked), parts)
    print_audit(found, Console(highlight=False))
    folder = evaluation_folder("audit", experiment, settings)
    texts = {folder / name: text for name, text in audit_files(found).items()}
    for path, text in texts.items():
        write_atomic(path, text)
    for path in [*texts, *save_figures([audit_figure(found)], folder)]:
        print(path)
    with open_tracking("audit", experiment, settings, parts, folder, tags_of(experiment, found)) as tracking:
        tracking.log_table("false_negatives", *cell_rows(found))
        tracking.log_table("worst_pairs", *pair_rows(found))
        tracking.log_summary(summary_of(found))


if __name__ == "__main__":
    hydra_app.entry(main)
