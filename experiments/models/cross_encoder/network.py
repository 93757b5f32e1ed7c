"""Load a cross-encoder from any backbone, with a head of one or two logits, and encode its pairs."""

import math
from collections.abc import Collection as AnyCollection
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import Backbone
from experiments.data.batches.pairs import PairEncoder, PairTemplate
from experiments.data.batches.scored_pairs import check_windows
from experiments.data.collection import Collection
from experiments.data.tokens import tokenizer_fingerprint, tokens_of
from experiments.models.backbone import source_of
from experiments.models.heads import check_foldable, head_of
from experiments.pretrained.limits import check_length
from experiments.pretrained.source import Source
from experiments.pretrained.weights import is_head, load_weights, refuse_untrained

if TYPE_CHECKING:
    from experiments.models.cross_encoder.config import CrossEncoderConfig


def pair_encoder(
    collection: Collection, tokenizer: PreTrainedTokenizerBase, model: "CrossEncoderConfig", cache: Cache
) -> PairEncoder:
    """Return the encoder that joins a collection's queries and passages to pairs, cut as ``model`` says.

    Raises:
        ExperimentError: the windows of passages do not fit.
    """
    identity, windows = tokenizer_fingerprint(tokenizer), model.windows
    read = model.max_length if windows is None else max(model.max_length, windows.reach(model.max_length))
    # one token more than the limit, so that longer queries can be counted
    queries = tokens_of(collection, "queries", tokenizer, model.max_query_tokens + 1, cache, identity)
    passages = tokens_of(collection, "passages", tokenizer, read, cache, identity)
    encoder = PairEncoder(PairTemplate.of(tokenizer), queries, passages, model.max_query_tokens, model.max_length)
    if windows is not None:
        check_windows(windows, encoder)
    return encoder


def load_cross_encoder(
    start: Backbone | Source, model: "CrossEncoderConfig", seed: int, negatives: int = 1, *, trained: bool = False
) -> PreTrainedModel:
    """Load the backbone in fp32 with a head of ``model.logits`` outputs; a head that the weights lack, or have with
    other outputs, is drawn from ``seed``. ``negatives``: in a group, for ``model.head_bias=prior``. ``trained``:
    ``start`` is a cross-encoder that is trained on; its head is kept as it is, where the number of outputs fits.

    Raises:
        ExperimentError: the weights cannot be found, lack some of the encoder, or of the head of a trained one; the
        network has too few positions for ``model.max_length``, or a head that cannot be exported.
    """
    source = start if isinstance(start, Source) else source_of(start)
    with source.reading():
        config = AutoConfig.from_pretrained(
            source.place, revision=source.revision, trust_remote_code=False, num_labels=model.logits
        )
    if model.dropout is not None:
        set_dropout(config, model.dropout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, report = load_weights(AutoModelForSequenceClassification, source, config=config, may_be_random=is_head)
    if trained:
        refuse_untrained(report, source)
        # Weights lie in memory as in their file. Sums over addresses that are not aligned round otherwise than those of
        # the training before, whose scores this one begins with.
        for weight in network.parameters():
            weight.data = weight.data.clone()
    check_length(network, "model.max_length", model.max_length, source.label)
    check_foldable(network, source.label)
    if model.fresh_pooler == "identity" and f"{network.base_model_prefix}.pooler.dense.weight" in report.missing:
        # The head reads the tanh of the [CLS] state itself. The small random weights that transformers draws would hide
        # that state from the classifier for the first hundreds of steps.
        base: Any = network.base_model
        dense = base.pooler.dense
        with torch.no_grad():
            dense.weight.copy_(torch.eye(dense.out_features, dense.in_features))
            dense.bias.zero_()
    if model.head_bias == "prior" and not (trained and not report.mismatched):
        _set_head_bias(network, {*report.missing, *report.mismatched}, -math.log(negatives), source.label)
    return network


def _set_head_bias(network: PreTrainedModel, missing: AnyCollection[str], log_odds: float, label: str) -> None:
    """Set the log-odds that a new head gives to a state of zeros."""
    name = head_of(network)
    bias = network.get_submodule(name).bias if name is not None else None
    if not isinstance(bias, torch.Tensor):
        raise ExperimentError(f"model.head_bias=prior: the head of {label} has no bias; set model.head_bias=zero")
    if f"{name}.bias" not in missing:
        raise ExperimentError(f"model.head_bias=prior: {label} brings a trained head; set model.head_bias=zero")
    with torch.no_grad():
        bias.zero_()
        bias[-1] = log_odds  # of two classes, the second is relevant


def set_dropout(config: Any, rate: float) -> None:
    """Set every dropout rate of a model's config."""
    for name, value in list(vars(config).items()):
        if "dropout" in name and isinstance(value, float | int | None):
            setattr(config, name, rate)
