"""Set the threads and the memory of a job's arithmetic, whatever the job before it in this process had."""

import os

import torch

from experiments.common.allocator import keep_freed_memory
from experiments.config import Experiment
from experiments.models.training_setup import uses_gpu

OF_PROCESS = torch.get_num_threads()  # before any job set them


def set_threads(experiment: Experiment, processes: int = 1) -> None:
    """Set ``compute.threads``; if it is null, as many as the process began with. Freed memory is kept for later steps,
    and none is filled before it is written, as torch else does where it is deterministic: nothing here reads it before,
    and on a GPU it took a fifth of a step.

    ``processes``: of the job. Several on a CPU share its cores, where each would else take all of them.
    """
    keep_freed_memory()
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_num_threads(experiment.compute.threads or _threads_of(processes, experiment.trainer.accelerator))


def _threads_of(processes: int, accelerator: str) -> int:
    if processes == 1 or uses_gpu(accelerator):
        return OF_PROCESS
    return max(1, (os.cpu_count() or 1) // processes)
