"""Prepare and check the inputs of a training before any weights change."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.config.negatives import RUN_ORDER, sources_of
from experiments.data.collection import Collection
from experiments.data.run import Run
from experiments.data.splits import TEST, Split, make_splits
from experiments.jobs.components import Components, check_loss
from experiments.jobs.filters import make_filters
from experiments.jobs.inference_depths import check_reached
from experiments.negatives.copies import passage_hashes
from experiments.negatives.run_lists import RunLists
from experiments.negatives.sampler import NegativeSampler
from experiments.retrieval.inject_gold import with_gold
from experiments.retrieval.retriever import run_for

if TYPE_CHECKING:
    from experiments.models.training_setup import TrainingInputs

Rows = NDArray[np.int64]

log = logging.getLogger(__name__)


def prepare(experiment: Experiment, collection: Collection, components: Components, cache: Cache) -> "TrainingInputs":
    """Make the splits, runs, negative sampler and filters of a job.

    Raises:
        ExperimentError: see ``check_loss``, ``make_splits``, ``NegativeSampler`` and the retrievers.
    """
    from experiments.models.ranker import DevSet  # imports Lightning, which a plan of jobs does not need
    from experiments.models.training_setup import TrainingInputs

    check_loss(experiment, components.loss)
    splits = splits_of(experiment, collection)
    if "dev" not in splits:
        raise ExperimentError(
            f"data set {collection.name!r} has no dev queries to choose checkpoints on: set data.carve_dev above 0"
        )
    negatives = experiment.negatives
    excluded = excluded_of(experiment, splits["train"])
    sampler = _sampler_of(experiment, components, collection, splits["train"], excluded, cache)
    _warn_of_exceptions(sampler)
    first_stages = {name: components.retrievers[name] for name in experiment.first_stage}
    test = {
        name: run_for(retriever, collection, splits["test"].queries, experiment.rerank_depth, cache)
        for name, retriever in first_stages.items()
    }
    gold = experiment.first_stage_inject_gold
    candidates = {name: with_gold(run, splits["test"].relevant) if gold else run for name, run in test.items()}
    first = next(iter(first_stages.values()))
    dev = run_for(first, collection, splits["dev"].queries, experiment.validation.depth, cache)
    _check_dev(dev, collection, splits["dev"])
    for run in test.values():
        warn_of_unmatched(run, splits["test"])
        check_reached(run, experiment.depths)
    return TrainingInputs(
        experiment=experiment,
        collection=collection,
        splits=splits,
        sampler=sampler,
        never_negative=never_negative(excluded, collection),
        passage_hashes=passage_hashes(collection, cache) if negatives.filter.copies else None,
        dev=DevSet(dev, relevance_of(collection, splits["dev"]), experiment.measures[0]),
        test=test,
        candidates=candidates,
        loss=components.loss,
        cache=cache,
    )


def _sampler_of(
    experiment: Experiment,
    components: Components,
    collection: Collection,
    train: Split,
    excluded: Mapping[int, Rows],
    cache: Cache,
) -> NegativeSampler | RunLists:
    """Make the sampler of a rule over the runs of its sources."""
    rule = experiment.negatives
    runs = tuple(
        run_for(components.retrievers[name], collection, train.queries, rule.depth, cache)
        for name in sources_of(rule.source)
    )
    if rule.draw == RUN_ORDER:
        return RunLists(rule, runs[0], train.relevant, collection, experiment.seed)
    filters = make_filters(rule, runs, train.relevant, collection, cache, excluded=excluded)
    barred = never_negative(excluded, collection)
    return NegativeSampler(rule, runs, train.relevant, collection, experiment.seed, filters, barred)


def never_negative(excluded: Mapping[int, Rows], collection: Collection) -> Mapping[int, Rows]:
    """Return the excluded passages of each training query, with the passage of the query's own id where runs omit it.

    Groups that share negatives, or draw from the whole collection, use none of them.
    """
    if not collection.ignore_identical_ids:
        return excluded
    own = {query: collection.own_passages[[query]] for query in excluded}
    return {query: np.concatenate([passages, own[query][own[query] >= 0]]) for query, passages in excluded.items()}


def _check_dev(run: Run, collection: Collection, dev: Split) -> None:
    """Refuse an empty dev run, on which every checkpoint would score 0."""
    if not len(run.passages.values):
        raise ExperimentError(
            f"first stage {run.name!r} retrieves nothing for any of the {len(dev.queries):,} dev queries of "
            f"{collection.name!r}, so that no checkpoint can be chosen: put a first stage that finds something first "
            f"in first_stage, or choose other dev queries (data.source.splits.dev, data.split.dev)"
        )
    warn_of_unmatched(run, dev)


def warn_of_unmatched(run: Run, split: Split) -> None:
    """Warn of queries for which a first stage retrieves nothing."""
    retrieved = set(run.queries[np.asarray(run.passages.lengths) > 0].tolist())
    nothing = sum(query not in retrieved for query in split.queries.tolist())
    if nothing:
        log.warning(
            "first stage %s retrieves nothing for %s of %s %s queries: they count as 0",
            run.name, f"{nothing:,}", f"{len(split.queries):,}", split.name,
        )  # fmt: skip


def excluded_of(experiment: Experiment, train: Split) -> dict[int, NDArray[np.int64]]:
    """Return training query row -> the passages judged ``negatives.exclude_grade`` or better, positives included."""
    return train.judged(experiment.negatives.exclude_grade)


def splits_of(
    experiment: Experiment, collection: Collection, needed: Sequence[str] = ("train", "test")
) -> dict[str, Split]:
    """Return the splits of a collection by an experiment's ``data``; see ``make_splits``."""
    data = experiment.data
    return make_splits(
        collection,
        min_grade=data.min_grade,
        limits={"train": data.queries.train, "dev": data.queries.dev, "test": data.queries.test},
        carve_dev=data.carve_dev,
        needed=needed,
        split=data.split,
        folds=data.folds,
        fold=data.fold,
        without_relevant=data.without_relevant,
        repeated_queries=data.repeated_queries,
        measured_on=data.measured_on,
    )


def data_label(experiment: Experiment, collection: Collection, split: str = TEST) -> str:
    """Return the label of the measured queries in tables, where another split than test counts as other data."""
    split = experiment.data.measured_on if split == TEST else split
    return collection.name if split == TEST else f"{collection.name}/{split}"


def _warn_of_exceptions(sampler: NegativeSampler | RunLists) -> None:
    for kind, query in sampler.report.examples.items():
        log.warning(
            "negatives: %s of the training queries are an exception to the rule (%s), such as %r",
            f"{getattr(sampler.report, kind):,}", kind, query,
        )  # fmt: skip


def relevance_of(collection: Collection, split: Split) -> dict[int, dict[int, int]]:
    """Return query row -> passage row -> grade, of all judgements of a split's queries."""
    qrels, wanted = split.qrels, set(split.queries.tolist())
    return {
        int(query): dict(zip(qrels.passages[i].tolist(), qrels.grades[i].tolist(), strict=True))
        for i, query in enumerate(qrels.queries)
        if int(query) in wanted
    }
