"""Tell where the time of a job goes, stage by stage: ``trainer.profile=true`` leaves ``profile.tsv`` in its folder."""

import logging
import time
from collections import defaultdict
from pathlib import Path

import torch
from pytorch_lightning.profilers import Profiler

from experiments.common.cache import write_atomic

FILE = "profile.tsv"
STAGES = {  # what Lightning calls an action ends in -> the stage it is of
    "train_dataloader_next": "assembling batches",
    "batch_to_device": "moving batches to the device",
    "training_step": "forward",
    "backward": "backward",
    "configure_gradient_clipping": "clipping gradients",
    "optimizer_step": "optimiser",
    "optimizer_zero_grad": "optimiser",
    "lr_scheduler_step": "optimiser",
    "val_next": "validation",
    "validation_step": "validation",
    "on_validation_epoch_end": "validation",
    "predict_next": "scoring",
    "predict_step": "scoring",
    "save_checkpoint": "checkpoints",
}
OF_CALLBACKS, OTHER = "logging and callbacks", "the rest of Lightning's loop"

log = logging.getLogger(__name__)


class StageProfiler(Profiler):
    """Add up the seconds of each stage of training, validation and scoring, each moment counted once.

    An action within another one, such as the backward pass within the optimiser's step, is taken out of it; one that
    has no stage belongs to that of the action around it. On a GPU each action waits for the kernels that it started,
    which costs some speed. ``path``: of the table, written when a training or a scoring ends.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._open: list[tuple[str, str]] = []  # actions that have begun, each with its stage
        self._since = 0.0

    def start(self, action_name: str) -> None:
        """Begin an action."""
        self._count()
        around = self._open[-1][1] if self._open else OTHER
        stage = stage_of(action_name) or around
        self.calls[stage] += stage != around or not self._open
        self._open.append((action_name, stage))

    def stop(self, action_name: str) -> None:
        """End an action, and those within it that an error left open."""
        self._count()
        while self._open and self._open.pop()[0] != action_name:
            pass

    def _count(self) -> None:
        """Give the time since the last call to the stage that was going on."""
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1][1]] += now - self._since
        self._since = now

    def summary(self) -> str:
        """Return the table as tab-separated lines: stage, seconds, share of all, calls; the longest first."""
        total = sum(self.seconds.values()) or 1.0
        lines = ["stage\tseconds\tshare\tcalls"]
        for stage, seconds in sorted(self.seconds.items(), key=lambda row: -row[1]):
            lines.append(f"{stage}\t{seconds:.3f}\t{seconds / total:.3f}\t{self.calls[stage]}")
        return "\n".join(lines) + "\n"

    def describe(self) -> None:
        """Write the table, and log where most of the time went."""
        write_atomic(self.path, self.summary())
        total = sum(self.seconds.values()) or 1.0
        parts = sorted(self.seconds.items(), key=lambda row: -row[1])
        shares = ", ".join(f"{stage} {seconds / total:.0%}" for stage, seconds in parts if seconds >= 0.01 * total)
        log.info("profile: %s (%s)", shares, self.path)


def stage_of(action: str) -> str | None:
    """Return the stage of an action of Lightning's; None for one that belongs to the action around it."""
    name = action.rpartition(".")[2]
    if name in STAGES:
        return STAGES[name]
    return OF_CALLBACKS if action.startswith("[Callback]") else None
