"""Build a dual encoder as a ``SentenceTransformer``: a BERT-like backbone, infused with layers of a cross-encoder
(Ananthakrishnan et al. 2025, arXiv 2502.03552).
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel

from experiments.common.errors import ExperimentError
from experiments.config import Backbone
from experiments.models.backbone import source_of
from experiments.models.teacher import load_encoder
from experiments.models.text_encoder import check_reach, set_module_dropout, settle_text_tokenizer
from experiments.pretrained.encoder import MODEL
from experiments.pretrained.limits import check_vocabulary
from experiments.pretrained.products import multiply_fast
from experiments.pretrained.weights import check_weights, is_pooler

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from experiments.models.dual_encoder.config import DualEncoderConfig

LAYERS = "encoder.layer."  # prefix of the weights of BERT-like layers
# Config fields that must agree before weights of one model are copied into another.
COMPATIBILITY_FIELDS = (
    "model_type", "hidden_size", "embedding_size", "num_attention_heads", "intermediate_size", "hidden_act",
    "vocab_size", "type_vocab_size", "max_position_embeddings", "position_embedding_type", "position_buckets",
)  # fmt: skip


def load_dual_encoder(backbone: Backbone, model: "DualEncoderConfig", seed: int) -> "SentenceTransformer":
    """Load one fp32 encoder for queries and passages: the backbone with ``model.layers`` layers, pooling, and for
    ``cosine`` a normalisation.

    Layers are copied from ``model.cross_encoder``. Every weight outside the layers counts as embeddings (word, position
    and type embeddings and their normalisation). Random weights are all drawn from ``seed`` by the architecture's own
    rule before layers are copied over them, so they are the same whichever layers are infused.

    Raises:
        ExperimentError: weights are missing or do not fit; the backbone has too few layers, no list of layers, or too
        few positions for ``model.max_length``.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.sentence_transformer.modules import Pooling

    transformer = _transformer(backbone, model)
    network: Any = transformer.model
    if model.rest == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network.load_state_dict(AutoModel.from_config(network.config, dtype=torch.float32).state_dict())
    if model.infuses:
        assert model.cross_encoder is not None  # DualEncoderConfig checks it, and a prerequisite job trains it
        _infuse(network, transformer.tokenizer, backbone, model, model.cross_encoder)
    set_module_dropout(network, model.dropout)
    modules: list[nn.Module] = [transformer, Pooling(int(network.config.hidden_size), model.pooling)]
    if model.similarity == "cosine":
        modules.append(Normalize())
    similarity: Any = model.similarity
    encoder = SentenceTransformer(modules=modules, similarity_fn_name=similarity, device="cpu").float()
    multiply_fast(encoder)
    return encoder


def _transformer(backbone: Backbone, model: "DualEncoderConfig") -> Any:
    """Load the backbone with ``model.layers`` layers and the maximum lengths of ``model``."""
    from sentence_transformers.base.modules import Transformer

    source = source_of(backbone)
    revision = {"revision": backbone.revision} if backbone.revision else {}
    with source.reading():
        config = AutoConfig.from_pretrained(source.place, trust_remote_code=False, **revision)
        depth = {"num_hidden_layers": model.layers} if model.layers is not None else {}
        _check_depth(config, backbone, model)
        transformer = Transformer(
            source.place,
            model_kwargs={**MODEL, **revision},
            processor_kwargs=dict(revision),
            config_kwargs={**revision, **depth},
        )
    layers = getattr(getattr(transformer.model, "encoder", None), "layer", None)
    if (model.layers is not None or model.infuses) and not isinstance(layers, nn.ModuleList):
        raise ExperimentError(
            f"backbone {backbone.name!r} is a {type(transformer.model).__name__}, which has no list of layers at "
            f"encoder.layer: this model cuts and infuses BERT-like encoders only, such as BERT, ELECTRA and RoBERTa"
        )
    check_weights(transformer.model, source, partial(may_be_random, model), fewer_layers=model.layers is not None)
    check_vocabulary(transformer.model, transformer.tokenizer, source.label)
    check_reach(transformer.model, model, source.label)
    settle_text_tokenizer(transformer, source.label)
    transformer.query_length, transformer.document_length = model.max_query_tokens, model.max_length
    transformer.max_seq_length = max(model.max_length, model.max_query_tokens)  # for texts of neither kind
    return transformer


def may_be_random(model: "DualEncoderConfig", network: PreTrainedModel, name: str) -> bool:
    """Whether a backbone weight is not used: all are random, or the cross-encoder's is copied over it."""
    if model.rest == "random" or is_pooler(network, name):
        return True
    return bool(infused_weights({name: torch.empty(0)}, model.infused, model.infuse_embeddings))


def _check_depth(config: PretrainedConfig, backbone: Backbone, model: "DualEncoderConfig") -> None:
    own = int(getattr(config, "num_hidden_layers", 0))
    depth = model.layers or own
    if max(model.infused, default=0) > depth:
        raise ExperimentError(
            f"model.infused has layer {max(model.infused)}, but the dual encoder has the {depth} layers of backbone "
            f"{backbone.name!r}: leave it out, or set model.layers"
        )
    missing = [layer for layer in range(own + 1, depth + 1) if layer not in model.infused]
    if model.rest == "backbone" and missing:
        raise ExperimentError(
            f"model.layers={depth} with model.rest=backbone, but backbone {backbone.name!r} has {own} layers and no "
            f"layer {missing[0]}: lower model.layers, or set model.rest=random"
        )


def _infuse(network: Any, tokenizer: Any, backbone: Backbone, model: "DualEncoderConfig", cross_encoder: str) -> None:
    """Copy the chosen weights of the cross-encoder into the network."""
    source, source_tokenizer = load_encoder(cross_encoder)
    _check_fit(source.config, network.config, cross_encoder, backbone)
    if source_tokenizer.get_vocab() != tokenizer.get_vocab():
        raise ExperimentError(
            f"model.cross_encoder={cross_encoder!r} has another vocabulary than backbone {backbone.name!r}: choose the "
            f"backbone that it was trained from"
        )
    depth = int(source.config.num_hidden_layers)
    if max(model.infused, default=0) > depth:
        raise ExperimentError(
            f"model.infused has layer {max(model.infused)}, but the cross-encoder {cross_encoder!r} has {depth} layers"
        )
    chosen = infused_weights(source.state_dict(), model.infused, model.infuse_embeddings)
    network.load_state_dict({**network.state_dict(), **chosen})


def infused_weights(weights: Mapping[str, Tensor], layers: list[int], embeddings: bool) -> dict[str, Tensor]:
    """Select the weights of ``layers``, counted from 1, and with ``embeddings`` all weights outside the layers. The
    pooler is never selected, as it reads the pair.
    """
    prefixes = tuple(f"{LAYERS}{layer - 1}." for layer in layers)
    return {
        name: value
        for name, value in weights.items()
        if name.startswith(prefixes) or (embeddings and not name.startswith((LAYERS, "pooler.")))
    }


def _check_fit(theirs: PretrainedConfig, ours: PretrainedConfig, cross_encoder: str, backbone: Backbone) -> None:
    for name in COMPATIBILITY_FIELDS:
        actual, needed = getattr(theirs, name, None), getattr(ours, name, None)
        if actual != needed:
            raise ExperimentError(
                f"model.cross_encoder={cross_encoder!r} has {name} {actual}, backbone {backbone.name!r} has {needed}: "
                f"choose the backbone that it was trained from"
            )
