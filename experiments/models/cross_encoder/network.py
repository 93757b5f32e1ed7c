"""A cross-encoder from any backbone: its weights with a head of one or two logits, and the pairs that it reads."""

from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from experiments.common.cache import Cache
from experiments.config import Backbone
from experiments.data.batches.pairs import PairEncoder, PairTemplate
from experiments.data.collection import Collection
from experiments.data.tokens import tokenizer_fingerprint, tokens_of
from experiments.models.backbone import source_of
from experiments.models.heads import check_foldable
from experiments.pretrained.limits import check_length
from experiments.pretrained.weights import is_head, load_weights

if TYPE_CHECKING:
    from experiments.models.cross_encoder.config import CrossEncoderConfig


def pair_encoder(
    collection: Collection, tokenizer: PreTrainedTokenizerBase, model: "CrossEncoderConfig", cache: Cache
) -> PairEncoder:
    """Return what joins the tokens of a collection's queries and passages to pairs, cut as the model says."""
    identity = tokenizer_fingerprint(tokenizer)
    # one token more than is read of a query, so that those that are cut can be counted
    queries = tokens_of(collection, "queries", tokenizer, model.max_query_tokens + 1, cache, identity)
    passages = tokens_of(collection, "passages", tokenizer, model.max_length, cache, identity)
    return PairEncoder(PairTemplate.of(tokenizer), queries, passages, model.max_query_tokens, model.max_length)


def load_cross_encoder(backbone: Backbone, model: "CrossEncoderConfig", seed: int) -> PreTrainedModel:
    """The backbone with a classification head of ``model.logits`` outputs, in fp32; a head that the weights lack, or
    have with other outputs, is drawn from ``seed``.

    Raises:
        ExperimentError: it cannot be found, lacks weights of its encoder, does not reach ``model.max_length``, or has a
        head that cannot be exported.
    """
    source = source_of(backbone)
    with source.reading():
        config = AutoConfig.from_pretrained(source.place, revision=source.revision, num_labels=model.logits)
    if model.dropout is not None:
        set_dropout(config, model.dropout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, report = load_weights(
            AutoModelForSequenceClassification, source, config=config, may_start_anew=is_head
        )
    check_length(network, "model.max_length", model.max_length, source.said)
    check_foldable(network, source.said)
    if model.fresh_pooler == "identity" and f"{network.base_model_prefix}.pooler.dense.weight" in report.missing:
        _start_pooler_as_identity(network)
    return network


def _start_pooler_as_identity(network: Any) -> None:
    """Let the head read the tanh of the [CLS] state itself. A pooler of small random weights, which is what
    transformers makes where a checkpoint has none, hides that state from the classifier for the first hundreds of
    steps.
    """
    dense = network.base_model.pooler.dense
    with torch.no_grad():
        dense.weight.copy_(torch.eye(dense.out_features, dense.in_features))
        dense.bias.zero_()


def set_dropout(config: Any, rate: float) -> None:
    """Set every dropout rate of a model's config."""
    names = [
        name for name in vars(config) if "dropout" in name and isinstance(getattr(config, name), float | int | None)
    ]
    for name in names:
        setattr(config, name, rate)
