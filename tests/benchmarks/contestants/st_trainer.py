"""Share what all trainings by sentence-transformers have in common: order of the batches, clock, arguments."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness.child import Stopwatch, Timing
from sentence_transformers.base.sampler import DefaultBatchSampler
from torch import nn
from transformers import TrainerCallback


class InOrder(DefaultBatchSampler):
    """The batches of a data set in its own order."""

    def __init__(self, dataset: Any, **settings: Any) -> None:
        super().__init__(range(len(dataset)), **settings)


class Clock(TrainerCallback):
    """Time the steps of a training after the first few, in groups."""

    def __init__(self, warm_up: int, steps: int, queries: int, device: str) -> None:
        self.warm_up, self.steps, self.queries, self.watch = warm_up, steps, queries, Stopwatch(device)
        self.timing: Timing | None = None

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.warm_up:
            self.watch.start()
        if state.global_step == self.steps:
            self.timing = self.watch.stop((self.steps - self.warm_up) * self.queries)


def arguments(settings: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Return the arguments of a training of so many steps; what is not here is at the library's default."""
    on_cpu = settings.get("device", "cpu") == "cpu"
    return {
        "output_dir": str(Path(settings["folder"]) / "sentence_transformers"),
        "per_device_train_batch_size": settings["queries"],
        "max_steps": steps,
        "learning_rate": settings["lr"],
        "lr_scheduler_type": "constant",
        "batch_sampler": InOrder,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": on_cpu,
        "dataloader_pin_memory": not on_cpu,
        "bf16": settings.get("precision") == "bf16",
    }


def train(
    trainer: Any,
    argument_class: Any,
    settings: Mapping[str, Any],
    warm_up: int,
    steps: int,
    prompts: Mapping[str, str] | None = None,
    **given: Any,
) -> Timing:
    """Train by a trainer of the library; returns the time of the steps after the first ``warm_up``.

    ``prompts``: of each column, which the trainer does not take from the model.
    """
    clock = Clock(warm_up, steps, settings["queries"], settings.get("device", "cpu"))
    trainer(args=argument_class(**arguments(settings, steps), prompts=prompts), callbacks=[clock], **given).train()
    assert clock.timing is not None
    return clock.timing


def set_dropout(model: nn.Module, rate: float) -> None:
    """Set the rate of every dropout."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate
