"""Everything that a training needs and that bad input can spoil, made and checked before any weights move."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from experiments.data.collection import Collection
from experiments.data.pairs import PairEncoder, PairTemplate
from experiments.data.source import Source
from experiments.data.splits import Split, make_splits
from experiments.data.tokens import tokenizer_fingerprint, tokens_of
from experiments.errors import ExperimentError
from experiments.modules.backbone import load_tokenizer
from experiments.negatives.sampler import NegativeSampler
from experiments.retrieval.retriever import Retriever, run_for
from experiments.retrieval.run import Run
from experiments.schema import Experiment
from experiments.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """The exchangeable parts of a job, made from the config at the entry point."""

    source: Source
    retrievers: Mapping[str, Retriever]
    loss: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Prepared:
    """All that a training needs, checked. ``dev``: the first of the first stages over the dev queries, cut to the
    validation depth.
    """

    collection: Collection
    splits: Mapping[str, Split]
    sampler: NegativeSampler
    source_run: Run
    encoder: PairEncoder
    dev: Run
    test: Mapping[str, Run]


def prepare(experiment: Experiment, collection: Collection, parts: Parts, store: Store) -> Prepared:
    """The runs, the sampler and the tokens of a job: everything that bad input can spoil, before any weights move.

    Raises:
        ExperimentError: see ``make_splits``, ``NegativeSampler``, ``load_tokenizer``.
    """
    data, model = experiment.data, experiment.model
    limits = {"train": data.queries.train, "dev": data.queries.dev, "test": data.queries.test}
    splits = make_splits(collection, min_grade=data.min_grade, limits=limits, carve_dev=data.carve_dev)
    if "dev" not in splits:
        raise ExperimentError(
            f"data set {collection.name!r} has no dev queries to choose checkpoints on: set data.carve_dev above 0"
        )
    tokenizer = load_tokenizer(experiment.backbone)
    source = parts.retrievers[experiment.negatives.source]
    source_run = run_for(source, collection, splits["train"].queries, experiment.negatives.depth, store)
    sampler = NegativeSampler(experiment.negatives, source_run, splits["train"].relevant, collection, experiment.seed)
    _warn_of_exceptions(sampler)
    first_stages = {name: parts.retrievers[name] for name in experiment.first_stage}
    test = {
        name: run_for(one, collection, splits["test"].queries, experiment.first_stage_depth, store)
        for name, one in first_stages.items()
    }
    first = next(iter(first_stages.values()))
    dev = run_for(first, collection, splits["dev"].queries, experiment.validation.depth, store)
    identity = tokenizer_fingerprint(tokenizer)
    queries = tokens_of(collection, "queries", tokenizer, model.max_query_tokens, store, identity)
    passages = tokens_of(collection, "passages", tokenizer, model.max_length, store, identity)
    encoder = PairEncoder(PairTemplate.of(tokenizer), queries, passages, model.max_query_tokens, model.max_length)
    return Prepared(collection, splits, sampler, source_run, encoder, dev, test)


def _warn_of_exceptions(sampler: NegativeSampler) -> None:
    for kind, one in sampler.exceptions.examples.items():
        count = getattr(sampler.exceptions, kind)
        log.warning(
            "negatives: %s of the training queries are an exception to the rule (%s), such as %r",
            f"{count:,}",
            kind,
            one,
        )


def relevance_of(collection: Collection, split: Split) -> dict[int, dict[int, int]]:
    """Query row -> passage row -> grade of all judgements of a split's queries."""
    name = (
        split.name if split.name in collection.splits else "train"
    )  # a carved dev split is judged by the training qrels
    qrels = collection.qrels(name)
    wanted = set(split.queries.tolist())
    return {
        int(query): dict(zip(qrels.passages[i].tolist(), qrels.grades[i].tolist(), strict=True))
        for i, query in enumerate(qrels.queries)
        if int(query) in wanted
    }
