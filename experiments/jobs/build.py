"""The parts of a training by the kind of its model: the network in its LightningModule, and the batches it reads."""

import inspect
import logging
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.data.batches.groups import Batcher, TrainingGroups
from experiments.data.batches.pair_batches import PairBatcher, RunPairs
from experiments.data.batches.pairs import PairEncoder, PairTemplate
from experiments.data.batches.text_batches import RunTexts, TextBatcher
from experiments.data.batches.text_features import features_of
from experiments.data.datamodule import RankingData
from experiments.data.tokens import tokenizer_fingerprint, tokens_of
from experiments.jobs.prepare import Prepared, excluded_of, relevance_of
from experiments.models.backbone import load_cross_encoder, load_tokenizer
from experiments.models.colbert.lightning_module import ColBERT
from experiments.models.colbert.network import load_colbert
from experiments.models.cross_encoder.export import PairCut
from experiments.models.cross_encoder.lightning_module import CrossEncoder, choose_layout
from experiments.models.dual_encoder import lightning_module
from experiments.models.dual_encoder.network import load_dual_encoder
from experiments.models.ranker import DevSet, Loss, Ranker
from experiments.models.teacher import distil_batcher, load_teacher, teacher_batcher
from experiments.negatives.copies import passage_hashes
from experiments.pretrained.limits import check_vocabulary

log = logging.getLogger(__name__)

# Tokens of one forward pass by device and layout: (training, scoring). On a CPU, as measured with both registry
# backbones on one thread: packed passes are fastest around 2k tokens (training up to 4k, which spreads the cost of the
# vocabulary's dense gradient), padded ones at half of that or less. On a GPU large batches fill the device; these were
# not measured.
TOKENS_PER_BATCH = {
    ("cpu", "packed"): (4096, 2048),
    ("cpu", "padded"): (1024, 1024),
    ("gpu", "packed"): (16_384, 65_536),
    ("gpu", "padded"): (16_384, 65_536),
}


@dataclass(frozen=True)
class Training:
    """What a trainer is given. ``steps``: optimiser steps of the budget."""

    module: Ranker
    data: RankingData
    steps: int


def build(experiment: Experiment, prepared: Prepared, loss: Loss, store: Cache) -> Training:
    """The module and the data of an experiment, by ``model.kind``.

    Raises:
        ExperimentError: weights or a tokenizer cannot be loaded or do not fit the settings, a step cannot be shared by
        the devices, or the loss does not take its settings.
    """
    _check_loss(experiment, loss)
    return BUILDERS[experiment.model.kind](experiment, prepared, loss, store)


def _check_loss(experiment: Experiment, loss: Loss) -> None:
    """Call it once, so that a setting that it refuses is said before anything is trained."""
    name, takes_teacher = experiment.loss["name"], "teacher_QN" in inspect.signature(loss).parameters
    if experiment.learns_from_teacher and not takes_teacher:
        raise ExperimentError(f"loss.teacher and loss.job do not exist: loss={name} learns from no teacher")
    if takes_teacher and not experiment.learns_from_teacher:
        raise ExperimentError(f"loss={name} learns from a teacher: its file in conf/loss must have the key teacher")
    scores_QN = torch.zeros(1, experiment.negatives.count + 1)
    loss(scores_QN, scores_QN) if takes_teacher else loss(scores_QN)


def _cross_encoder(experiment: Experiment, prepared: Prepared, loss: Loss, store: Cache) -> Training:
    network = load_cross_encoder(experiment.backbone, experiment.model, experiment.seed)
    layout = choose_layout(network, experiment.compute.layout, _device(experiment))
    train_tokens, score_tokens = _tokens_per_batch(experiment, layout)
    tokenizer = load_tokenizer(experiment.backbone)
    check_vocabulary(network, tokenizer, f"backbone {experiment.backbone.name!r}")
    encoder = _pair_encoder(experiment, prepared, tokenizer, store)
    cut = _cut(encoder)
    if cut.cut_queries:
        log.warning("%s", cut.said())
    teacher = own_pairs = None
    if experiment.learns_from_teacher:
        teacher = load_teacher(experiment.loss["teacher"], "loss.teacher")
        own_pairs = teacher_batcher(teacher, tokenizer, prepared.collection, experiment.model, store, score_tokens)
    groups = _groups(experiment, prepared, PairBatcher(encoder, train_tokens, own_pairs))
    steps = steps_for(experiment, groups)
    module = CrossEncoder(
        network,
        tokenizer,
        loss,
        experiment.optimization,
        steps=steps,
        seed=experiment.seed,
        layout=layout,
        rank_by=experiment.model.rank_by,
        recompute=experiment.batch.checkpoint,
        cut=cut,
        teacher=teacher,
        dev=_dev_set(experiment, prepared),
    )
    scoring = partial(RunPairs, encoder=encoder, tokens_per_batch=score_tokens)
    return Training(module, RankingData(groups, scoring, prepared.dev, experiment.compute.workers), steps)


def _pair_encoder(
    experiment: Experiment, prepared: Prepared, tokenizer: PreTrainedTokenizerBase, store: Cache
) -> PairEncoder:
    model = experiment.model
    identity = tokenizer_fingerprint(tokenizer)
    # one token more than is read of a query, so that those that are cut can be counted
    queries = tokens_of(prepared.collection, "queries", tokenizer, model.max_query_tokens + 1, store, identity)
    passages = tokens_of(prepared.collection, "passages", tokenizer, model.max_length, store, identity)
    return PairEncoder(PairTemplate.of(tokenizer), queries, passages, model.max_query_tokens, model.max_length)


def _hashes(experiment: Experiment, prepared: Prepared, store: Cache) -> NDArray[np.uint64] | None:
    """By which copies of answers are known among the negatives in the batch, unless they shall stay."""
    return passage_hashes(prepared.collection, store) if experiment.negatives.filter.copies else None


def _never_negative(experiment: Experiment, prepared: Prepared) -> dict[int, NDArray[np.int64]]:
    """Training query row -> the passages that are no negatives of it in the batch: those judged
    ``negatives.exclude_grade`` or better and, where runs leave it out, the passage of the query's own id.
    """
    judged, collection = excluded_of(experiment, prepared.splits["train"]), prepared.collection
    if not collection.ignore_identical_ids:
        return judged
    own = {query: collection.own_passages[[query]] for query in judged}
    return {query: np.concatenate([passages, own[query][own[query] >= 0]]) for query, passages in judged.items()}


def _cut(encoder: PairEncoder) -> PairCut:
    lengths = encoder.queries.lengths
    return PairCut(
        encoder.max_query_tokens, encoder.max_length, int((lengths > encoder.max_query_tokens).sum()), len(lengths)
    )


def _colbert(experiment: Experiment, prepared: Prepared, loss: Loss, store: Cache) -> Training:
    _one_device(experiment)
    encoder = load_colbert(experiment.backbone, experiment.model, experiment.seed)
    train_tokens, score_tokens = _tokens_per_batch(experiment, "padded")
    queries, passages = (features_of(prepared.collection, kind, encoder, store) for kind in ("queries", "passages"))
    batcher = TextBatcher(
        queries,
        passages,
        _never_negative(experiment, prepared),
        train_tokens,
        _hashes(experiment, prepared, store),
    )
    groups = _groups(experiment, prepared, batcher)
    steps = steps_for(experiment, groups)
    module = ColBERT(
        encoder,
        loss,
        experiment.optimization,
        steps=steps,
        seed=experiment.seed,
        in_batch=experiment.model.late_interaction.in_batch,
        scale=experiment.model.late_interaction.scale,
        dev=_dev_set(experiment, prepared),
    )
    scoring = partial(RunTexts, queries=queries, passages=passages, tokens_per_batch=score_tokens)
    return Training(module, RankingData(groups, scoring, prepared.dev, experiment.compute.workers), steps)


def _dual_encoder(experiment: Experiment, prepared: Prepared, loss: Loss, store: Cache) -> Training:
    _one_device(experiment)
    settings, collection = experiment.model.dual_encoder, prepared.collection
    network = load_dual_encoder(experiment.backbone, experiment.model, settings.cross_encoder, experiment.seed)
    layout = lightning_module.choose_layout(network, experiment.compute.layout, _device(experiment))
    train_tokens, score_tokens = _tokens_per_batch(experiment, layout)
    queries, passages = (features_of(collection, kind, network, store) for kind in ("queries", "passages"))
    batcher: Batcher = TextBatcher(
        queries,
        passages,
        _never_negative(experiment, prepared),
        train_tokens,
        _hashes(experiment, prepared, store),
    )
    teacher = None
    if settings.learns_from_teacher:
        assert settings.cross_encoder is not None  # the schema asks for it, and a job was run before
        assert isinstance(batcher, TextBatcher)
        teacher = load_teacher(settings.cross_encoder)
        batcher = distil_batcher(teacher, batcher, collection, experiment.model, store, score_tokens)
    groups = _groups(experiment, prepared, batcher)
    steps = steps_for(experiment, groups)
    module = lightning_module.DualEncoder(
        network,
        loss,
        experiment.optimization,
        steps=steps,
        seed=experiment.seed,
        settings=settings,
        teacher=teacher,
        layout=layout,
        dev=_dev_set(experiment, prepared),
    )
    scoring = partial(RunTexts, queries=queries, passages=passages, tokens_per_batch=score_tokens)
    return Training(module, RankingData(groups, scoring, prepared.dev, experiment.compute.workers), steps)


BUILDERS = {"cross_encoder": _cross_encoder, "colbert": _colbert, "dual_encoder": _dual_encoder}


def _one_device(experiment: Experiment) -> None:
    if experiment.trainer.devices > 1:
        raise ExperimentError(
            f"model={experiment.model.kind} trains on one device: set trainer.devices=1 (negatives are shared within "
            f"a step)"
        )


def _groups(experiment: Experiment, prepared: Prepared, batcher: Batcher) -> TrainingGroups:
    queries, devices = experiment.batch.queries(experiment.negatives.count), experiment.trainer.devices
    if queries % devices:
        raise ExperimentError(f"a step has {queries} queries, which {devices} devices cannot share evenly")
    return TrainingGroups(prepared.sampler, queries, batcher)


def _dev_set(experiment: Experiment, prepared: Prepared) -> DevSet:
    relevance = relevance_of(prepared.collection, prepared.splits["dev"])
    return DevSet(prepared.dev, relevance, experiment.measures[0])


def _tokens_per_batch(experiment: Experiment, layout: str) -> tuple[int, int]:
    train_tokens, score_tokens = TOKENS_PER_BATCH[_device(experiment), layout]
    wanted = experiment.compute.tokens_per_batch
    return wanted.train or train_tokens, wanted.score or score_tokens


def _device(experiment: Experiment) -> str:
    return "gpu" if uses_gpu(experiment.trainer.accelerator) else "cpu"


def uses_gpu(accelerator: str) -> bool:
    """Whether an accelerator, as Lightning names it, is a GPU on this machine."""
    return accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())


def steps_for(experiment: Experiment, groups: TrainingGroups) -> int:
    """Optimiser steps of the budget (``Experiment.steps``); one in tokens is counted out on the groups themselves."""
    known = experiment.steps()
    if known is not None:
        return known
    steps = spent = 0
    while spent < experiment.budget.size:
        spent += groups.tokens(steps)
        steps += 1
    return experiment.whole_steps(steps)
