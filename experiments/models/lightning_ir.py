"""Read the cross-encoders of lightning-ir (its model type ``mono``) as sequence classifiers.

lightning-ir saves an encoder of transformers under the encoder's own names, with a linear layer ``linear`` on a pooled
vector and for some models a dense layer ``bert_pool`` before it; ``config.json`` is the encoder's, with ``model_type``
``mono`` and the encoder's type in ``backbone_model_type``. An edit that changes scores raises ``models.trained_pairs``
in ``VERSIONS``.

Shapes: B pairs, L tokens of the longest pair, D hidden size, C logits of a pair.
"""

import json
from collections.abc import Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer
from transformers.modeling_outputs import SequenceClassifierOutput

from experiments.common.errors import ExperimentError
from experiments.data.batches.pairs import PairTemplate
from experiments.models.cross_encoder.export import FIELD
from experiments.pretrained.limits import longest_input
from experiments.pretrained.source import Source
from experiments.pretrained.weights import is_pooler, load_weights, weight_files

MONO = "mono"
BACKBONE = "backbone_model_type"  # the key of config.json that only lightning-ir writes
LOGITS = {"rank": 1, "mono": 2}  # by scoring_strategy; of two, the log-odds are what lightning-ir ranks by
POOLINGS = ("first", "mean", "sum", "max")


class MonoClassifier(PreTrainedModel):
    """An encoder, a pooling of its last layer, and a linear layer that outputs the logits of a pair."""

    base_model_prefix = "encoder"
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = True  # the encoder has checked its own

    def __init__(self, encoder: PreTrainedModel, pooling: str, dense: nn.Linear | None, linear: nn.Linear) -> None:
        super().__init__(encoder.config)
        self.encoder, self.pooling = encoder, pooling
        self.dense, self.linear = dense, linear

    def forward(self, attention_mask: Tensor, **inputs: Tensor) -> SequenceClassifierOutput:
        """Return the (B, C) logits of pairs. ``attention_mask``: (B, L)."""
        hidden_BLD = self.encoder(attention_mask=attention_mask, **inputs).last_hidden_state
        pooled_BD = _pooled(hidden_BLD, attention_mask.bool()[..., None], self.pooling)
        if self.dense is not None:
            pooled_BD = torch.tanh(self.dense(pooled_BD))
        return SequenceClassifierOutput(logits=self.linear(pooled_BD))


def _pooled(hidden_BLD: Tensor, own_BL1: Tensor, pooling: str) -> Tensor:
    """Return the (B, D) vectors of pairs, without their padding."""
    if pooling == "first":
        return hidden_BLD[:, 0]
    if pooling == "max":
        return hidden_BLD.masked_fill(~own_BL1, -torch.inf).amax(dim=1)
    sum_BD = (hidden_BLD * own_BL1).sum(dim=1)
    return sum_BD if pooling == "sum" else sum_BD / own_BL1.sum(dim=1)


def config_of_lightning_ir(source: Source) -> dict[str, Any] | None:
    """Return the config of a model that lightning-ir saved; None for any other model."""
    path = source.local_file("config.json")
    if path is None:
        return None
    with source.reading():
        settings = json.loads(path.read_text(encoding="utf-8"))
    return settings if isinstance(settings, dict) and BACKBONE in settings else None


def load_mono(source: Source, settings: Mapping[str, Any]) -> tuple[PreTrainedModel, Tokenizer]:
    """Load a ``mono`` cross-encoder in fp32 and the tokenizer of its encoder.

    The lengths to which lightning-ir cuts queries and documents are put where an exported model has its own.
    ``settings``: of ``config_of_lightning_ir``.

    Raises:
        ExperimentError: another model type, an encoder with a decoder, adapters, or missing weights.
    """
    _check_supported(source, settings)
    config = _encoder_config(source, settings)
    with source.reading():
        tokenizer = AutoTokenizer.from_pretrained(
            source.place, tokenizer_type=settings[BACKBONE], trust_remote_code=False
        )
    kind: Any = MODEL_MAPPING[type(config)]
    kind = kind[0] if isinstance(kind, tuple) else kind  # the first is the encoder's own class
    pooler = {"add_pooling_layer": False} if "add_pooling_layer" in signature(kind).parameters else {}
    encoder, _ = load_weights(kind, source, config=config, may_be_random=is_pooler, **pooler)
    weights = _head_weights(source)
    dense = _linear(weights, "bert_pool.0", source) if any(name.startswith("bert_pool.") for name in weights) else None
    linear = _linear(weights, "linear", source)
    if linear.out_features != config.num_labels:
        raise ExperimentError(
            f"{source.label}: {source.place} has linear.weight of {linear.out_features} rows, but its scoring_strategy "
            f"{settings.get('scoring_strategy', 'rank')!r} makes {config.num_labels}: {source.fix}"
        )
    _set_lengths(encoder, settings, tokenizer)
    return MonoClassifier(encoder, settings.get("pooling_strategy", "first"), dense, linear), tokenizer


def _check_supported(source: Source, settings: Mapping[str, Any]) -> None:
    kind, name = settings.get("model_type"), f"{source.label}: {source.place}"
    if kind != MONO:
        raise ExperimentError(
            f"{name} is a model of lightning-ir of the type {kind!r}; of that format only cross-encoders of the type "
            f"{MONO!r} are read: {source.fix}"
        )
    if settings.get("use_adapter"):
        raise ExperimentError(f"{name} is a model of lightning-ir with adapters: merge them into its weights first")
    if settings.get("is_encoder_decoder") or settings[BACKBONE] == "t5":
        raise ExperimentError(
            f"{name} is a cross-encoder of lightning-ir on {settings[BACKBONE]!r}, which has a decoder: only encoders "
            f"are read: {source.fix}"
        )
    for key, usual, known in (("scoring_strategy", "rank", LOGITS), ("pooling_strategy", "first", POOLINGS)):
        if settings.get(key, usual) not in known:
            raise ExperimentError(f"{name}: config.json has {key}={settings[key]!r}, not {' or '.join(known)}")


def _encoder_config(source: Source, settings: Mapping[str, Any]) -> PreTrainedConfig:
    """Return the config of the encoder, with as many labels as the model has logits."""
    own = {key: value for key, value in settings.items() if key not in ("model_type", BACKBONE, "architectures")}
    with source.reading():
        config: PreTrainedConfig = AutoConfig.for_model(settings[BACKBONE], **own)
    config.num_labels = LOGITS[settings.get("scoring_strategy", "rank")]
    return config


def _head_weights(source: Source) -> dict[str, Tensor]:
    """Read the weights behind the encoder, in fp32."""
    found: dict[str, Tensor] = {}
    with source.reading():
        for file in weight_files(source):
            if file.suffix == ".safetensors":
                from safetensors.torch import load_file

                weights = load_file(file)
            else:
                weights = torch.load(file, map_location="cpu", weights_only=True)
            head = {name: weight for name, weight in weights.items() if name.startswith(("linear.", "bert_pool."))}
            found |= {name: weight.float() for name, weight in head.items()}
    return found


def _linear(weights: Mapping[str, Tensor], name: str, source: Source) -> nn.Linear:
    """Return the linear layer of a name, with or without a bias; raises ExperimentError if there is none."""
    weight, bias = weights.get(f"{name}.weight"), weights.get(f"{name}.bias")
    if weight is None:
        raise ExperimentError(
            f"{source.label}: {source.place} is no trained cross-encoder, it lacks weights such as {name}.weight: "
            f"{source.fix}"
        )
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    return layer


def _set_lengths(encoder: PreTrainedModel, settings: Mapping[str, Any], tokenizer: Tokenizer) -> None:
    """Note the lengths of queries and documents, unless one of them is unlimited."""
    query, document = settings.get("query_length", 32), settings.get("doc_length", 512)
    if query is None or document is None:
        return
    whole = query + document + PairTemplate.of(tokenizer).extra
    longest = int(min(whole, tokenizer.model_max_length, longest_input(encoder) or whole))
    limits = {"max_query_tokens": query, "max_passage_tokens": document, "max_length": longest}
    setattr(encoder.config, FIELD, limits)
