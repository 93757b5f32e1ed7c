"""Locate and check the checkpoints of neural retrievers: a local folder or a hub id, whose content is the cache key."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError
from experiments.common.model_files import check_folder, is_folder, model_digest
from experiments.common.packages import version
from experiments.pretrained.token_budget import tokens_per_batch as default_tokens

if TYPE_CHECKING:
    import torch

    from experiments.pretrained.source import Source


class Checkpoint:
    """The location of a retriever's weights.

    ``place``: a folder, a hub id, or None for a model that is yet to be trained. ``key``: the retriever's config key,
    for messages. ``revision``: of a hub id. ``source``: hint at where a checkpoint can come from.

    Raises:
        ExperimentError: the folder does not exist or holds no model.
    """

    def __init__(self, place: str | None, revision: str | None, key: str, source: str = "") -> None:
        self.key, self.revision, self._source = f"{key}.checkpoint", revision, source
        self._place = place
        if place is not None and self.is_folder:
            check_folder(place, self.key)

    @property
    def place(self) -> str:
        """The folder or hub id; raises ExperimentError if it is not set."""
        if self._place is None:
            raise ExperimentError(f"{self.key} is null: give a model's folder or hub id{self._source}")
        return self._place

    @property
    def is_folder(self) -> bool:
        """Whether the place is a folder, existing or not, rather than a hub id."""
        return self._place is not None and is_folder(self._place)

    def content(self) -> str:
        """Return the digest of a folder's files, or the id and commit of a hub model."""
        return model_digest(self.place, self.revision, self.key)

    def json(self, name: str) -> Any:
        """Read one of its JSON files; None if it has no such file."""
        if self.is_folder:
            path: Path | None = Path(self.place, name)
        else:
            from sentence_transformers.util import load_file_path

            with self.as_source().reading():
                local = load_file_path(self.place, name, revision=self.revision)
            path = None if local is None else Path(local)
        if path is None or not path.is_file():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ExperimentError(f"{self.key}: {path} is not JSON ({error})") from error

    def as_source(self) -> "Source":
        """Return the source that loads and checks the weights."""
        from experiments.pretrained.source import Source

        return Source(self.place, self.key, "without a model hub, give a local folder", self.revision)


def check_projection(checkpoint: Checkpoint) -> None:
    """Raise ExperimentError for an encoder without ColBERT's projection: sentence-transformers would silently add a
    random one.
    """
    modules = checkpoint.json("modules.json")
    if modules is not None:
        settings = checkpoint.json("config_sentence_transformers.json") or {}
        projects = settings.get("model_type") in ("MultiVectorEncoder", "ColBERT") or any(
            str(module.get("type", "")).endswith("Dense") for module in modules
        )
    else:
        architectures = (checkpoint.json("config.json") or {}).get("architectures") or []
        projects = any(name == "HF_ColBERT" or name.endswith("ForRetrieval") for name in architectures)
    if not projects:
        raise ExperimentError(
            f"{checkpoint.key}: {checkpoint.place!r} is an encoder without ColBERT's projection of token vectors; a "
            f"random one would rank at random. Give a late-interaction checkpoint, or train one on it: "
            f"python -m experiments.train model=colbert backbone=local backbone.path={checkpoint.place}"
        )


def device_of(name: str) -> "torch.device":
    """Return a device by name; ``auto`` is the first GPU, or the CPU if there is none."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def token_budget(tokens_per_batch: int | None, device: "torch.device") -> int:
    """Return the tokens of a batch: the setting, or the default of the device."""
    return tokens_per_batch if tokens_per_batch is not None else default_tokens("encode", device.type)


def token_counts(tokenizer: Any, texts: Sequence[str], most: int | None) -> NDArray[np.int64]:
    """Return the (B,) tokens of texts without special tokens, at most ``most``; words if there is no callable
    tokenizer.
    """
    if callable(tokenizer):
        ids = tokenizer(list(texts), add_special_tokens=False, padding=False, truncation=False, verbose=False)
        counts = list(map(len, ids["input_ids"]))
    else:
        counts = [len(text.split()) for text in texts]
    return np.minimum(np.array(counts, np.int64), most or np.iinfo(np.int64).max)


def versions() -> dict[str, str]:
    """Return the versions of the libraries that decide a checkpoint's output."""
    return {name: version(name) for name in ("sentence-transformers", "transformers")}
