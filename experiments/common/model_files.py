"""Where weights and files are: a local path or an id of a model hub; and the digest of what is there.

A digest is of the content alone: a folder that was moved or copied has the same, one whose files were edited another.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.common.cache import content_digest
from experiments.common.errors import ExperimentError

HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
MAIN = "main"  # the hub's usual revision
COMMIT = re.compile(r"[0-9a-f]{40}")
UNKNOWN = "unknown"  # instead of a commit, where neither the hub nor its cache says which
NOT_READ = re.compile(
    r"(.*\.(md|log|onnx|h5|msgpack|ot|gguf)|optimizer.*|scheduler\.pt|scaler\.pt|trainer_state\.json|training_args\.bin"
    r"|rng_state.*|events\.out\..*)"
)  # files of a model's folder that decide nothing that is computed here


def is_folder(place: str) -> bool:
    """Whether a place is meant as a local folder, there or not, rather than as the id of a model hub."""
    path = Path(place)
    looks_like_one = not HUB_ID.fullmatch(place) or place in (".", "..")
    beside_others = str(path.parent) != "." and path.parent.is_dir()
    return looks_like_one or path.exists() or beside_others


def resolved(place: str) -> str:
    """A local path as it is from everywhere: absolute, without links, ``.`` or ``..``. A hub id, the id of a catalogue
    (``ir_datasets:...``) and a name that is nothing here stay as they are.
    """
    if Path(place).exists():
        return os.path.realpath(place)
    if place.partition(":")[0] == "ir_datasets" or not is_folder(place):
        return place
    return os.path.realpath(place)


def model_digest(place: str, revision: str | None, key: str) -> str:
    """The digest of a model: of a folder's files, or id and commit of a hub's. ``key``: names the place in the config.

    Raises:
        ExperimentError: a folder that is not there or holds no model.
    """
    if is_folder(place):
        check_folder(place, key)
        return folder_digest(Path(place))
    return f"{place}@{hub_commit(place, revision) or f'{UNKNOWN}:{revision or MAIN}'}"


def check_folder(place: str, key: str) -> None:
    """Raise ExperimentError unless a folder holds a model. ``key``: names it in the config."""
    if not Path(place).is_dir():
        raise ExperimentError(f"{key}: there is no folder {place}")
    if not any(Path(place, name).is_file() for name in ("config.json", "modules.json")):
        raise ExperimentError(f"{key}: the folder {place} holds no model, neither a config.json nor a modules.json")


def folder_digest(folder: Path) -> str:
    """The digest of the names and contents of all files that can decide what a model computes."""
    whole = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if (
            path.is_file()
            and not any(part.startswith(".") for part in name.split("/"))
            and not NOT_READ.fullmatch(path.name)
        ):
            whole.update(f"{name} {content_digest(path)}\n".encode())
    return whole.hexdigest()


def hub_commit(place: str, revision: str | None) -> str | None:
    """The commit of a hub's model as it would be loaded now: the revision itself if it is one, else what the hub says,
    or without it the local cache. None if neither does.
    """
    if COMMIT.fullmatch(revision or ""):
        return revision
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    for name in ("config.json", "modules.json"):
        try:
            path = Path(hf_hub_download(place, name, revision=revision))
        except (OSError, ValueError, HfHubHTTPError):
            continue
        return path.parent.name
    return None


def changes(before: Any, now: Mapping[str, str]) -> list[str]:
    """The names of the inputs whose digests differ. ``before``: those that a job has noted, if it has.

    A hub's model whose commit cannot be known now is taken for the one that it was.
    """
    known = before if isinstance(before, Mapping) else {}
    return [name for name in sorted({*known, *now}) if not _same(str(known.get(name)), str(now.get(name)))]


def _same(before: str, now: str) -> bool:
    place, _, commit = now.rpartition("@")
    return before == now or (commit.startswith(UNKNOWN) and before.startswith(f"{place}@"))
