"""Find out which rows of a job's history W&B has from its earlier attempts, so that a resumed job logs each row once.

W&B appends what an attempt logs to the run of the same id, now or in `wandb sync`. A resumed training starts from its
last checkpoint: it would log the steps after it a second time, and never the ones that a killed service lost.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from experiments.common.errors import ExperimentError
from experiments.tracking.wandb_records import OFFLINE_RUNS, log_of

STEP = "trainer/global_step"
EPOCH = "epoch"  # Lightning adds it to every row
MEASURED_TIME = "train/tokens_per_second"  # differs from attempt to attempt
ONLINE_RUNS = "run-*"
SUPERSEDED = "superseded"  # folder of records whose rows another record has
SYNCED = "*.wandb.synced"  # W&B's note that a record was uploaded

log = logging.getLogger(__name__)

Row = tuple[int, frozenset[str]]


class Rows(Protocol):
    """The rows that W&B has."""

    def has(self, step: int, values: Mapping[str, Any]) -> bool:
        """Whether the row of a step with these values is among them."""


def row_of(step: int, values: Mapping[str, Any]) -> Row:
    """Return what tells a row from the others: its step, and what it is of, such as {train}."""
    return step, frozenset(name.split("/")[0] for name in values if name not in (STEP, EPOCH) and name[:1] != "_")


class RecordedRows:
    """The rows of records on disk. One that W&B cannot read is set aside, which is logged."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self.rows: set[Row] = set()
        for folder in folders:
            try:
                lines = list(log_of(folder))
            except ExperimentError as error:
                set_aside([folder])
                log.warning("%s: its rows are logged anew, and it lies in %s", error, folder.parent / SUPERSEDED)
                continue
            if not any(kind == "run" for kind, _ in lines):  # its service was killed; `wandb sync` would stop at it
                set_aside([folder])
                continue
            items = [content["item"] for kind, content in lines if kind == "history"]
            self.rows |= {row_of(int(item[STEP]), item) for item in items if STEP in item}

    def has(self, step: int, values: Mapping[str, Any]) -> bool:
        """Whether the row of a step with such values is among them."""
        return row_of(step, values) in self.rows


class ServerRows:
    """The rows of the server's run, of which its summary tells the last. A training logs in the order of its steps."""

    def __init__(self, summary: Mapping[str, Any]) -> None:
        self.summary = summary
        self.last = int(summary.get(STEP, -1))

    def has(self, step: int, values: Mapping[str, Any]) -> bool:
        """Whether the row of a step with these values is among them."""
        if step != self.last:
            return step < self.last
        return all(self.summary.get(name) == value for name, value in values.items() if name != MEASURED_TIME)


def records_of(folder: Path, id: str, online: bool) -> list[Path]:
    """Return the records of a run in a folder ``wandb``, the oldest first. ``online``: of its online attempts."""
    kind = ONLINE_RUNS if online else OFFLINE_RUNS
    # W&B numbers those that began in the same second: -1, -2 ...
    return sorted(record for end in ("", "-[0-9]*") for record in folder.glob(f"{kind}-{id}{end}"))


def set_aside(folders: Iterable[Path]) -> None:
    """Move records whose rows another one has to where `wandb sync` does not look; those already uploaded stay."""
    for folder in folders:
        if next(folder.glob(SYNCED), None) is None:
            target = folder.parent / SUPERSEDED / folder.name
            target.parent.mkdir(exist_ok=True)
            folder.rename(target)
