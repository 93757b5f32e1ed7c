"""Everything that a training needs and that bad input can spoil, made and checked before any weights move."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.config.negatives import sources_of
from experiments.data.collection import Collection
from experiments.data.run import Run
from experiments.data.source import Source
from experiments.data.splits import Split, make_splits
from experiments.jobs.filters import make_filters
from experiments.negatives.sampler import NegativeSampler
from experiments.retrieval.inject_gold import with_gold
from experiments.retrieval.retriever import Retriever, run_for

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """The exchangeable parts of a job, made from the config at the entry point. ``retrievers`` are those that a role
    names. ``make``: turns the settings of a Trainer, callback or logger into its class with those arguments filled in.
    """

    source: Source
    retrievers: Mapping[str, Retriever]
    loss: Callable[[Tensor], Tensor]
    make: Callable[[Mapping[str, Any]], "partial[Any]"]


@dataclass(frozen=True)
class Prepared:
    """All that a training needs, checked.

    ``dev``: the first of the first stages over the dev queries, cut to the validation depth. ``test``: each first stage
    over the test queries; ``candidates``: what of them is re-ranked, the same unless gold is injected.
    """

    collection: Collection
    splits: Mapping[str, Split]
    sampler: NegativeSampler
    dev: Run
    test: Mapping[str, Run]
    candidates: Mapping[str, Run]


def prepare(experiment: Experiment, collection: Collection, parts: Parts, cache: Cache) -> Prepared:
    """The runs and the sampler of a job: everything that bad input can spoil, before any weights move.

    Raises:
        ExperimentError: see ``make_splits``, ``NegativeSampler`` and the retrievers.
    """
    splits = splits_of(experiment, collection)
    if "dev" not in splits:
        raise ExperimentError(
            f"data set {collection.name!r} has no dev queries to choose checkpoints on: set data.carve_dev above 0"
        )
    train, negatives = splits["train"], experiment.negatives
    source_runs = tuple(
        run_for(parts.retrievers[name], collection, train.queries, negatives.depth, cache)
        for name in sources_of(negatives.source)
    )
    excluded = excluded_of(experiment, train)
    filters = make_filters(negatives, source_runs, train.relevant, collection, cache, excluded=excluded)
    sampler = NegativeSampler(negatives, source_runs, train.relevant, collection, experiment.seed, filters, excluded)
    _warn_of_exceptions(sampler)
    first_stages = {name: parts.retrievers[name] for name in experiment.first_stage}
    test = {
        name: run_for(one, collection, splits["test"].queries, experiment.first_stage_depth, cache)
        for name, one in first_stages.items()
    }
    gold = experiment.first_stage_inject_gold
    candidates = {name: with_gold(run, splits["test"].relevant) if gold else run for name, run in test.items()}
    first = next(iter(first_stages.values()))
    dev = run_for(first, collection, splits["dev"].queries, experiment.validation.depth, cache)
    _check_dev(dev, collection, splits["dev"])
    for run in test.values():
        _warn_of_unmatched(run, splits["test"])
    return Prepared(collection, splits, sampler, dev, test, candidates)


def _check_dev(run: Run, collection: Collection, dev: Split) -> None:
    """Refuse a dev run of nothing: every checkpoint would score 0 on it."""
    if not len(run.passages.values):
        raise ExperimentError(
            f"first stage {run.name!r} retrieves nothing for any of the {len(dev.queries):,} dev queries of "
            f"{collection.name!r}, so that no checkpoint can be chosen: put a first stage that finds something first "
            f"in first_stage, or choose other dev queries (data.source.splits.dev, data.split.dev)"
        )
    _warn_of_unmatched(run, dev)


def _warn_of_unmatched(run: Run, split: Split) -> None:
    lengths = dict(zip(run.queries.tolist(), run.passages.lengths.tolist(), strict=True))
    nothing = sum(not lengths.get(query) for query in split.queries.tolist())
    if nothing:
        log.warning(
            "first stage %s retrieves nothing for %s of %s %s queries: they count as 0",
            run.name, f"{nothing:,}", f"{len(split.queries):,}", split.name,
        )  # fmt: skip


def excluded_of(experiment: Experiment, train: Split) -> dict[int, NDArray[np.int64]]:
    """Training query row -> the passages that are never its negatives: judged ``negatives.exclude_grade`` or better.

    They include the positives, since the schema keeps that grade at most ``data.min_grade``.
    """
    return train.judged(experiment.negatives.exclude_grade)


def splits_of(
    experiment: Experiment, collection: Collection, needed: Sequence[str] = ("train", "test")
) -> dict[str, Split]:
    """The splits of a collection as an experiment's ``data`` wants them; see ``make_splits``."""
    data = experiment.data
    limits = {"train": data.queries.train, "dev": data.queries.dev, "test": data.queries.test}
    return make_splits(
        collection,
        min_grade=data.min_grade,
        limits=limits,
        carve_dev=data.carve_dev,
        needed=needed,
        split=data.split,
        folds=data.folds,
        fold=data.fold,
        without_relevant=data.without_relevant,
        repeated_queries=data.repeated_queries,
    )


def _warn_of_exceptions(sampler: NegativeSampler) -> None:
    for kind, one in sampler.report.examples.items():
        count = getattr(sampler.report, kind)
        log.warning(
            "negatives: %s of the training queries are an exception to the rule (%s), such as %r",
            f"{count:,}",
            kind,
            one,
        )


def relevance_of(collection: Collection, split: Split) -> dict[int, dict[int, int]]:
    """Query row -> passage row -> grade of all judgements of a split's queries."""
    qrels, wanted = split.qrels, set(split.queries.tolist())
    return {
        int(query): dict(zip(qrels.passages[i].tolist(), qrels.grades[i].tolist(), strict=True))
        for i, query in enumerate(qrels.queries)
        if int(query) in wanted
    }
