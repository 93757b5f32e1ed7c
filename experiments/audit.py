"""False negatives among the negatives: ``python -m experiments.audit data=beir data.path=my/folder``.

Draws what the rule would draw, from each source and depth, before any training, and reports how many of the negatives
look relevant: near-duplicates of a positive, passages that are judged relevant, passages that answer a twin of the
query, passages that a trained model puts above the positive. Takes the keys of ``experiments.train`` and those of
``audit``; writes into ``outputs/<study>/audit-...``.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import hydra
import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.console import Console

from experiments.common.cache import Store, fingerprint, write_atomic
from experiments.config import Experiment, compose
from experiments.config.files import CONF
from experiments.config.identity import folder_name
from experiments.config.negatives import NegativeRule, sources_of
from experiments.data.collection import Collection, open_collection
from experiments.data.run import Run
from experiments.data.splits import Split, by_hash
from experiments.jobs import hydra_app
from experiments.jobs.components import Components
from experiments.jobs.filters import make_filters
from experiments.jobs.prepare import excluded_of, relevance_of, splits_of
from experiments.jobs.prerequisites import components_of
from experiments.jobs.trainer import make_logger, tracking_of
from experiments.models.pair_scorer import load_scorer
from experiments.negatives.false_negative_audit import AuditInput, FalseNegativeAudit, audit_negatives
from experiments.negatives.near_duplicates import passage_shingles
from experiments.negatives.twin_queries import TwinQueries
from experiments.reporting.tables.false_negatives import audit_files, cell_rows, pair_rows, print_audit
from experiments.retrieval.retriever import run_for
from experiments.tracking.wandb_job import RunIdentity

compose.register(partial(folder_name, "audit"))
log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def main(config: DictConfig) -> None:
    """Audit the negatives of a config, print the table, write it and log it."""
    experiment = compose.check(config)
    sources = experiment.audit.sources or [experiment.negatives.source]
    # Those that are audited are made, whatever a training of this config would draw from or re-rank.
    names = sorted({name for source in sources for name in sources_of(source)})
    experiment = replace(experiment, first_stage=names, negatives=replace(experiment.negatives, source=names[0]))
    parts = components_of(experiment)
    found = audit(experiment, sources, parts)
    print_audit(found, Console(highlight=False))
    settings = compose.plain(config)
    name = folder_name("audit", settings)
    folder = Path(experiment.outputs) / experiment.study / name
    folder.mkdir(parents=True, exist_ok=True)
    for path in _write(found, folder):
        print(path)
    _track(experiment, found, settings, folder, parts)


def audit(experiment: Experiment, sources: Sequence[str], parts: Components) -> FalseNegativeAudit:
    """The audit of an experiment's rule over some sources, as ``experiment.audit`` has it."""
    wanted, store = experiment.audit, Store(experiment.cache)
    collection = open_collection(parts.source, store, experiment.data.ignore_identical_ids)
    every = splits_of(experiment, collection, needed=("train",))["train"]
    train = _sample(every, wanted.queries, collection)
    depth = max(wanted.depths)
    runs = {name: run_for(one, collection, train.queries, depth, store) for name, one in parts.retrievers.items()}
    given = AuditInput(
        collection,
        train.relevant,
        relevance_of(collection, train),
        runs,
        passage_shingles(collection, store),
        TwinQueries.of(collection, excluded_of(experiment, every)),  # a twin need not be in the sample
        excluded_of(experiment, train),
    )
    scorer = load_scorer(wanted.scorer, "audit.scorer") if wanted.scorer else None

    def filters(rule: NegativeRule, of: Sequence[Run]) -> Any:
        return make_filters(rule, of, train.relevant, collection, store, given.twins)

    def score(queries: NDArray[np.int64], passages: NDArray[np.int64]) -> NDArray[np.float32]:
        assert scorer is not None
        return scorer.score(collection, queries, passages, store)

    return audit_negatives(
        given,
        experiment.negatives,
        sources=sources,
        depths=wanted.depths,
        near_duplicate=wanted.near_duplicate,
        twin_query=wanted.twin_query,
        seed=experiment.seed,
        filters=filters,
        score=score if scorer is not None else None,
        scorer=wanted.scorer,
        margin=wanted.margin,
        worst=wanted.worst,
    )


def _write(found: FalseNegativeAudit, folder: Path) -> list[Path]:
    """Write the tables and the figure of an audit, and return their paths."""
    from experiments.reporting.plots.false_negatives import audit_figure
    from experiments.reporting.plots.figure import save_figures

    texts = {folder / name: text for name, text in audit_files(found).items()}
    for path, text in texts.items():
        write_atomic(path, text)
    return [*texts, *save_figures([audit_figure(found)], folder)]


def _sample(split: Split, queries: int | None, collection: Collection) -> Split:
    """A fixed random sub-set of a split's queries, part of any larger one."""
    rows = by_hash(collection, split.queries.tolist())[:queries]
    relevant = {row: split.relevant[row] for row in rows}
    return replace(split, queries=np.sort(np.asarray(rows, np.int64)), relevant=relevant)


def _track(
    experiment: Experiment, found: FalseNegativeAudit, settings: dict[str, Any], folder: Path, parts: Components
) -> None:
    """Log the audit's tables to the logger's run."""
    name = folder.name
    identity = RunIdentity(
        study=experiment.study,
        name=name,
        id=fingerprint({"study": experiment.study, "audit": name}),
        tags=(f"data={found.data}", f"rule={experiment.negatives.name}", *(f"source={c.source}" for c in found.cells)),
        config=settings,
        job_type="audit",
    )
    with tracking_of(make_logger(experiment.logger, parts.make, identity, folder.parent, folder)) as tracking:
        tracking.log_table("false_negatives", *cell_rows(found))
        tracking.log_table("worst_pairs", *pair_rows(found))
        shares = {f"{c.source}/{c.depth}/{sign}": c.shares[sign].mean for c in found.cells for sign in c.shares}
        tracking.log_summary(shares)


if __name__ == "__main__":
    hydra_app.entry(main)
