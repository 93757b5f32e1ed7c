"""Load encoders of single texts, by transformers or sentence-transformers, and check that all weights were loaded.

sentence-transformers draws missing weights at random with only a line in its log.
"""

import json
from dataclasses import replace
from typing import Any

import torch
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from experiments.common.errors import ExperimentError
from experiments.pretrained.products import multiply_fast
from experiments.pretrained.source import Source
from experiments.pretrained.tokenizer import tokenizer_of
from experiments.pretrained.weights import check_weights, is_pooler, load_weights

LIBRARIES = ("sentence_transformers", "pylate")  # whose classes a saved model may name
# Mismatched weights pass here and are refused by check_network, which names them.
MODEL = {"dtype": torch.float32, "ignore_mismatched_sizes": True}


def load_encoder(source: Source) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the encoder of a model without a head, in fp32 and evaluation mode, and its tokenizer.

    Raises:
        ExperimentError: it cannot be read, or lacks weights of its layers.
    """
    tokenizer = tokenizer_of(source)
    network, _ = load_weights(AutoModel, source, may_be_random=is_pooler)
    return network.eval(), tokenizer


def load_sentence_transformer(source: Source, kind: str, device: str) -> Any:
    """Load a saved ``SentenceTransformer`` or ``MultiVectorEncoder`` (``kind``: name of the class) in fp32.

    Raises:
        ExperimentError: it cannot be read, or lacks weights of its network.
    """
    import sentence_transformers

    check_modules(source)
    with source.reading():
        model = getattr(sentence_transformers, kind)(
            source.place, revision=source.revision, device=device, model_kwargs=dict(MODEL)
        )
    check_network(model[0], source)
    multiply_fast(model)
    return model


def check_modules(source: Source) -> None:
    """Raise ExperimentError if a saved model names classes of other packages, which would be imported and called."""
    modules = source.local_file("modules.json")
    if modules is None:
        return
    with source.reading():
        kinds = [str(module["type"]) for module in json.loads(modules.read_text(encoding="utf-8"))]
    if foreign := [kind for kind in kinds if kind.partition(".")[0] not in LIBRARIES]:
        raise ExperimentError(
            f"{source.label}: {modules} names {foreign[0]}, which is not of {' or '.join(LIBRARIES)} and is not run: "
            f"{source.fix}"
        )


def check_network(transformer: Any, source: Source) -> None:
    """Raise ExperimentError if the source lacks a weight of a library's ``Transformer``, or has another shape."""
    network = getattr(transformer, "model", None)
    if network is not None:  # other kinds of module have no network
        check_weights(network, network_source(source), is_pooler)


def network_source(source: Source) -> Source:
    """Return the source of the network's files in a saved model, as modules.json names it (older models use
    0_Transformer).
    """
    modules = source.local_file("modules.json")
    if modules is None:
        return source
    with source.reading():
        return replace(source, subfolder=str(json.loads(modules.read_text(encoding="utf-8"))[0].get("path", "")))
