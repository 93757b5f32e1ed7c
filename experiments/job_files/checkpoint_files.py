"""Keep the checkpoint files of one training, and the record that says which of them are valid.

``record.json`` names the last two checkpoints, and for each the best one so far on dev, with size and digest of every
file; it holds no folder, so a job may be moved. A new checkpoint gets a new name and the record is replaced atomically:
a kill in between leaves the earlier record and its files. If a file does not match the record, the checkpoint before it
is used.
"""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.common.cache import file_digest, fingerprint, write_json
from experiments.common.errors import ExperimentError
from experiments.common.model_files import changes
from experiments.job_files.files import read_mapping

log = logging.getLogger(__name__)

RECORD = "record.json"
VERSION, PICKLES = 2, 1  # of the record; of the one whose checkpoints were pickles
OLD_FILES, FILES = "*.ckpt", "*.safetensors"


@dataclass(frozen=True)
class Saved:
    """A checkpoint file. ``step``: optimiser steps done when it was written."""

    file: str
    bytes: int
    blake2b: str
    step: int


@dataclass(frozen=True)
class Generation:
    """State of a training: ``last``, and the ``best`` with its dev ``value``; None before the first validation."""

    last: Saved
    best: Saved | None = None
    value: float | None = None

    @property
    def files(self) -> tuple[Saved, ...]:
        """The distinct files."""
        return tuple({saved.file: saved for saved in (self.last, self.best) if saved is not None}.values())


class CheckpointFolder:
    """The folder of a job's checkpoints. ``inputs``: digests of the job's inputs; a record of others is not used."""

    def __init__(self, folder: Path, inputs: Mapping[str, str]) -> None:
        self.folder, self.inputs = folder, dict(inputs)

    def usable(self) -> Generation | None:
        """Return the newest undamaged checkpoint; None if the training has to start over. Log each damaged file.

        Raises:
            ExperimentError: the checkpoints are pickles of an earlier version, which are not read.
        """
        self._refuse_pickles()
        if not (self.folder / RECORD).is_file() and any(self.folder.glob(FILES)):
            log.warning("%s is missing: the training begins anew", self.folder / RECORD)
        generations = self._generations()
        for i, generation in enumerate(generations):
            problems = [
                f"{self.folder / saved.file} {problem}"
                for saved in generation.files
                if (problem := self.damage(saved)) is not None
            ]
            if not problems:
                return generation
            before = (
                f"the one of step {generations[i + 1].last.step} is tried"
                if i + 1 < len(generations)
                else "the training begins anew"
            )
            log.warning(
                "the checkpoint of step %s cannot be used (%s): %s", generation.last.step, "; ".join(problems), before
            )
        return None

    def damage(self, saved: Saved) -> str | None:
        """Say what is wrong with a file; None if nothing is."""
        path = self.folder / saved.file
        if not path.is_file():
            return "is missing"
        if path.stat().st_size != saved.bytes:
            return f"has {path.stat().st_size:,} bytes instead of {saved.bytes:,}"
        return None if file_digest(path) == saved.blake2b else "is damaged"

    def path_of(self, saved: Saved) -> Path:
        """Return the path of an undamaged file.

        Raises:
            ExperimentError: it is missing or damaged.
        """
        path = self.folder / saved.file
        if problem := self.damage(saved):
            raise ExperimentError(
                f"the checkpoint {path} {problem}: run the job again, it goes on from an earlier one or begins anew"
            )
        return path

    def next_serial(self) -> int:
        """Return the number of the next checkpoint, so that no recorded file is overwritten."""
        files = (saved.file for generation in self._generations() for saved in generation.files)
        return 1 + max(map(_serial, files), default=0)

    def described(self, name: str, step: int) -> Saved:
        """Describe a file that was just written, for the record."""
        path = self.folder / name
        return Saved(name, path.stat().st_size, file_digest(path), step)

    def record(self, generation: Generation, before: Generation | None) -> None:
        """Make a generation the newest one, atomically; then delete the files that the record no longer names."""
        kept = [generation, *([before] if before is not None else [])]
        value = {"version": VERSION, "inputs": self.inputs, "generations": [asdict(state) for state in kept]}
        write_json(self.folder / RECORD, {**value, "digest": fingerprint(value)}, durable=True)
        named = {RECORD, *(saved.file for state in kept for saved in state.files)}
        for path in self.folder.iterdir():
            if path.name not in named and path.is_file():
                path.unlink()

    def clear_unless_of_these_inputs(self) -> None:
        """Delete the checkpoints if they were made from other inputs, and log which."""
        recorded = self._read().get("inputs")
        if recorded is not None and (changed := changes(recorded, self.inputs)):
            names = ", ".join(changed)
            log.info("%s: %s changed since the checkpoints: the training begins anew", self.folder.parent.name, names)
            self.clear()

    def clear(self) -> None:
        """Delete the checkpoints, the record first: files that a kill leaves are then unused."""
        (self.folder / RECORD).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _refuse_pickles(self) -> None:
        """Raise ExperimentError for checkpoints of an earlier version: that version can still finish the job."""
        record = self._read()
        if record.get("version", PICKLES) == PICKLES and (old := sorted(self.folder.glob(OLD_FILES))):
            raise ExperimentError(
                f"{old[-1]} is a checkpoint of an earlier version, a pickle, which could run code and is not read: "
                f"finish the job with that version, or delete {self.folder} to begin anew"
            )

    def _generations(self) -> Sequence[Generation]:
        record = self._read()
        return [_generation(recorded) for recorded in record["generations"]] if record.get("version") == VERSION else []

    def _read(self) -> Mapping[str, Any]:
        path = self.folder / RECORD
        if not path.is_file():
            return {}
        try:
            record = dict(read_mapping(path))
        except ExperimentError as error:
            log.warning("%s: the training begins anew", error)
            return {}
        digest = record.pop("digest", None)
        if record.get("version") not in (VERSION, PICKLES) or digest != fingerprint(record):
            log.warning("%s is damaged or of another version: the training begins anew", path)
            return {}
        return record


def _generation(recorded: Mapping[str, Any]) -> Generation:
    best, value = recorded["best"], recorded["value"]
    return Generation(
        Saved(**recorded["last"]), None if best is None else Saved(**best), None if value is None else float(value)
    )


def _serial(name: str) -> int:
    head = os.path.basename(name).partition("-")[0]
    return int(head) if head.isdigit() else 0
