"""Build a late-interaction encoder (ColBERT) from any backbone, as sentence-transformers' ``MultiVectorEncoder``."""

import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from experiments.common.errors import ExperimentError
from experiments.config import Backbone
from experiments.models.backbone import source_of
from experiments.models.text_encoder import check_reach, set_module_dropout, settle_text_tokenizer
from experiments.pretrained.encoder import MODEL, check_network, load_sentence_transformer
from experiments.pretrained.limits import check_vocabulary
from experiments.pretrained.products import multiply_fast
from experiments.pretrained.source import Source

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

    from experiments.models.colbert.config import ColBERTConfig


def load_colbert(start: Backbone | Source, model: "ColBERTConfig", seed: int) -> "MultiVectorEncoder":
    """Load the backbone in fp32 with a normalised projection of every token to ``model.dimension`` (Khattab and Zaharia
    2020, section 3.2).

    Queries and passages begin with their markers; markers that the vocabulary lacks are added. New embeddings and a
    ``random`` projection are drawn from ``seed``. A backbone that is a ColBERT already keeps its projection and
    markers.

    Raises:
        ExperimentError: the backbone cannot be found, lacks weights, has too few positions for ``model.max_length``, or
        is narrower than an identity of ``dimension``.
    """
    source = start if isinstance(start, Source) else source_of(start)
    with source.reading(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if is_late_interaction(source.place):
            encoder: MultiVectorEncoder = load_sentence_transformer(source, "MultiVectorEncoder", "cpu")
            dimension = encoder.get_embedding_dimension()
            if dimension != model.dimension:
                raise ExperimentError(
                    f"{source.label} is a late-interaction checkpoint of dimension {dimension}: set "
                    f"model.dimension={dimension}, not {model.dimension}"
                )
        else:
            encoder = _fresh(source, model)
        transformer: Any = encoder[0]
        _set_lengths(transformer, model)
    check_vocabulary(transformer.model, transformer.tokenizer, source.label)
    check_reach(transformer.model, model, source.label)
    set_module_dropout(encoder, model.dropout)
    multiply_fast(encoder)
    return encoder.float()


def is_late_interaction(place: str) -> bool:
    """Whether a local folder holds a late-interaction checkpoint in the format of sentence-transformers, PyLate or
    Stanford (architecture ``HF_ColBERT`` in ``config.json``).
    """
    import json

    folder = Path(place)
    own, plain = folder / "config_sentence_transformers.json", folder / "config.json"
    kinds = ("MultiVectorEncoder", "ColBERT")
    if own.is_file() and json.loads(own.read_text(encoding="utf-8")).get("model_type") in kinds:
        return True
    stanford = json.loads(plain.read_text(encoding="utf-8")).get("architectures") if plain.is_file() else None
    return "HF_ColBERT" in (stanford or [])


def _fresh(source: Source, model: "ColBERTConfig") -> "MultiVectorEncoder":
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.base.modules.dense import Dense
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    revision = {"revision": source.revision} if source.revision else {}
    transformer = Transformer(
        source.place, model_kwargs={**MODEL, **revision}, processor_kwargs=dict(revision), config_kwargs=dict(revision)
    )
    check_network(transformer, source)
    check_vocabulary(transformer.model, transformer.tokenizer, source.label)
    settle_text_tokenizer(transformer, source.label)
    hidden = int(transformer.get_embedding_dimension())
    identity = _identity(hidden, model.dimension) if model.fresh_projection == "identity" else None
    linear: dict[str, Any] = {"bias": False, "activation_function": nn.Identity(), "init_weight": identity}
    projection = Dense(hidden, model.dimension, **linear, module_input_name="token_embeddings")
    mask = MultiVectorMask(skiplist_words=list(string.punctuation) if model.skip_punctuation else [])
    encoder = MultiVectorEncoder(
        modules=[transformer, projection, mask, Normalize(module_input_name="token_embeddings")],
        prompts={"query": f"{model.query_marker} ", "document": f"{model.passage_marker} "},
        device="cpu",
    )
    # Special tokens are not split into pieces; tokens of the vocabulary keep their id.
    encoder.tokenizer.add_tokens([model.query_marker, model.passage_marker], special_tokens=True)
    embeddings = transformer.model.get_input_embeddings()
    if len(encoder.tokenizer) > embeddings.num_embeddings:
        transformer.model.resize_token_embeddings(len(encoder.tokenizer))
    return encoder


def _identity(hidden: int, dimension: int) -> torch.Tensor:
    if dimension > hidden:
        raise ExperimentError(
            f"model.dimension={dimension} is more than the backbone's {hidden}: lower it, or set "
            f"model.fresh_projection=random"
        )
    return torch.eye(dimension, hidden)


def _set_lengths(transformer: Any, model: "ColBERTConfig") -> None:
    transformer.document_length = model.max_length
    transformer.query_expansion = None  # first: the query length may not fall below the expansion's
    transformer.query_length = model.max_query_tokens
    if model.expand_queries:
        expansion = {"attend": model.attend_to_expansion, "length": model.max_query_tokens}
        transformer.query_expansion = {"strategy": "fixed", **expansion}
