"""Audit the negatives that a rule would draw from each source and depth, without a training."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.config import Experiment
from experiments.config.negatives import NegativeRule, sources_of
from experiments.data.collection import Collection
from experiments.data.run import Run
from experiments.data.splits import Split, by_hash
from experiments.jobs.components import Components
from experiments.jobs.filters import make_filters
from experiments.jobs.open_evaluation import OpenEvaluation, without_training
from experiments.jobs.prepare import excluded_of, never_negative, relevance_of
from experiments.negatives.false_negative_audit import AuditInput, FalseNegativeAudit, audit_negatives
from experiments.negatives.near_duplicates import passage_shingles
from experiments.negatives.twin_queries import TwinQueries
from experiments.retrieval.retriever import run_for


def audited_sources(experiment: Experiment) -> list[str]:
    """Return the sources to audit, mixtures included."""
    return experiment.audit.sources or [experiment.negatives.source]


def of_audited_sources(experiment: Experiment) -> Experiment:
    """Return an experiment that uses only the retrievers of the audited sources."""
    names = {name for source in audited_sources(experiment) for name in sources_of(source)}
    return without_training(experiment, sorted(names))


def audit(experiment: Experiment, sources: Sequence[str], parts: Components) -> FalseNegativeAudit:
    """Audit an experiment's rule over sources, with the settings of ``experiment.audit``."""
    settings, opened = experiment.audit, OpenEvaluation(experiment, parts, "train")
    collection, cache = opened.collection, opened.cache
    train = _sample(opened.split, settings.queries, collection)
    depth = max(settings.depths)
    given = AuditInput(
        collection,
        train.relevant,
        relevance_of(collection, train),
        {name: run_for(made, collection, train.queries, depth, cache) for name, made in parts.retrievers.items()},
        passage_shingles(collection, cache),
        TwinQueries.of(collection, excluded_of(experiment, opened.split)),  # a twin need not be in the sample
        never_negative(excluded_of(experiment, train), collection),
    )
    scorer = None
    if settings.scorer:
        from experiments.models.pair_scorer import load_scorer  # imports torch

        scorer = load_scorer(settings.scorer, "audit.scorer")

    def filters(rule: NegativeRule, runs: Sequence[Run]) -> Any:
        return make_filters(rule, runs, train.relevant, collection, cache, given.twins)

    def score(queries: NDArray[np.int64], passages: NDArray[np.int64]) -> NDArray[np.float32]:
        assert scorer is not None
        return scorer.score(collection, queries, passages, cache)

    return audit_negatives(
        given,
        experiment.negatives,
        sources=sources,
        depths=settings.depths,
        near_duplicate=settings.near_duplicate,
        twin_query=settings.twin_query,
        seed=experiment.seed,
        filters=filters,
        score=score if scorer is not None else None,
        scorer=settings.scorer,
        margin=settings.margin,
        worst=settings.worst,
    )


def tags_of(experiment: Experiment, audit: FalseNegativeAudit) -> list[str]:
    """Return the tags of the audit's W&B run."""
    return [f"data={audit.data}", f"rule={experiment.negatives.name}", *(f"source={c.source}" for c in audit.cells)]


def summary_of(audit: FalseNegativeAudit) -> Mapping[str, float]:
    """Return ``<source>/<depth>/<sign>`` -> the share of negatives with that sign of a false negative, for W&B."""
    return {f"{c.source}/{c.depth}/{sign}": c.shares[sign].mean for c in audit.cells for sign in c.shares}


def _sample(split: Split, queries: int | None, collection: Collection) -> Split:
    """Return a fixed random subset of a split's queries, part of any larger one."""
    rows = by_hash(collection, split.queries.tolist())[:queries]
    relevant = {row: split.relevant[row] for row in rows}
    return replace(split, queries=np.sort(np.asarray(rows, np.int64)), relevant=relevant)
