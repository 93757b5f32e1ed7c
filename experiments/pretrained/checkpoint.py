"""Checkpoints of neural retrievers: a local folder or an id of a model hub. What can be seen without loading one is
checked at once; its content decides what may be reused from the cache.
"""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError
from experiments.common.model_files import check_folder, is_folder, model_digest
from experiments.pretrained.token_budget import tokens_per_batch as suited

if TYPE_CHECKING:
    import torch

    from experiments.pretrained.source import Source


class Checkpoint:
    """Where a retriever's weights are.

    ``place``: a folder, a hub id, or None for one that is yet to be made: it may stand in a config, but not be used.
    ``key``: the retriever's in the config, for messages. ``revision``: of a hub id. ``source``: where one can come
    from.

    Raises:
        ExperimentError: a folder that is not there or holds no model.
    """

    def __init__(self, place: str | None, revision: str | None, key: str, source: str = "") -> None:
        self.key, self.revision, self._source = f"{key}.checkpoint", revision, source
        self._place = place
        if place is not None and self.is_folder:
            check_folder(place, self.key)

    @property
    def place(self) -> str:
        """The folder or hub id.

        Raises:
            ExperimentError: there is none.
        """
        if self._place is None:
            raise ExperimentError(f"{self.key} is null: give a model's folder or hub id{self._source}")
        return self._place

    @property
    def is_folder(self) -> bool:
        """Whether the place is a folder, there or not, rather than a hub id."""
        return self._place is not None and is_folder(self._place)

    def content(self) -> str:
        """The digest of a folder's files; id and commit of a hub model.

        Raises:
            ExperimentError: there is no checkpoint yet.
        """
        return model_digest(self.place, self.revision, self.key)

    def json(self, name: str) -> Any:
        """One of its JSON files, or None if it has none of that name."""
        if self.is_folder:
            path: Path | None = Path(self.place, name)
        else:
            from sentence_transformers.util import load_file_path

            with self.loading():
                found = load_file_path(self.place, name, revision=self.revision)
            path = None if found is None else Path(found)
        if path is None or not path.is_file():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ExperimentError(f"{self.key}: {path} is not JSON ({error})") from error

    def loading(self) -> AbstractContextManager[None]:
        """Around what reads the checkpoint: no bars and reports on the way, and what goes wrong in one line."""
        return self.as_source().reading()

    def as_source(self) -> "Source":
        """The same for what loads and checks weights."""
        from experiments.pretrained.source import Source

        return Source(self.place, self.key, "without a model hub, give a local folder", self.revision)


def check_projection(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint to which sentence-transformers would add a projection of random numbers, with no more than a
    line in its log: a plain encoder, or a single-vector model without one.

    Raises:
        ExperimentError: it is one, or it cannot be read.
    """
    modules = checkpoint.json("modules.json")
    if modules is not None:
        settings = checkpoint.json("config_sentence_transformers.json") or {}
        has_one = settings.get("model_type") in ("MultiVectorEncoder", "ColBERT") or any(
            str(module.get("type", "")).endswith("Dense") for module in modules
        )
    else:
        architectures = (checkpoint.json("config.json") or {}).get("architectures") or []
        has_one = any(one == "HF_ColBERT" or one.endswith("ForRetrieval") for one in architectures)
    if not has_one:
        raise ExperimentError(
            f"{checkpoint.key}: {checkpoint.place!r} is an encoder without ColBERT's projection of token vectors; a "
            f"random one would rank at random. Give a late-interaction checkpoint, or train one on it: "
            f"python -m experiments.train model=colbert backbone=local backbone.path={checkpoint.place}"
        )


def device_of(name: str) -> "torch.device":
    """A device by its name; ``auto`` is the first GPU, or the CPU where there is none."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def token_budget(tokens_per_batch: int | None, device: "torch.device") -> int:
    """Tokens of a batch: as set, or what suits the device."""
    return tokens_per_batch if tokens_per_batch is not None else suited("encode", device.type)


def token_counts(tokenizer: Any, texts: Sequence[str], most: int | None) -> NDArray[np.int64]:
    """(B,) tokens of texts without special ones, at most ``most``; words where a model's tokenizer cannot be asked."""
    if callable(tokenizer):
        ids = tokenizer(list(texts), add_special_tokens=False, padding=False, truncation=False, verbose=False)
        counts = [len(one) for one in ids["input_ids"]]
    else:
        counts = [len(text.split()) for text in texts]
    return np.minimum(np.array(counts, np.int64), most or np.iinfo(np.int64).max)


def versions() -> dict[str, str]:
    """Of the libraries that decide what a checkpoint computes."""
    return {name: version(name) for name in ("sentence-transformers", "transformers")}
