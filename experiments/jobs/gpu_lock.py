"""Give each of several parallel jobs of one machine a GPU of its own.

Jobs claim GPUs by file locks, so that several studies can share them. A job sees only the GPU that it claimed. CUDA
reads CUDA_VISIBLE_DEVICES once, so a worker that runs several jobs waits for the GPU of its first job.
"""

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from experiments.config import Trainer

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
ACCELERATORS = ("auto", "gpu", "cuda")
POLL_SECONDS = 0.5

_mine: list[str] = []  # the GPU that this process has computed on, if any


@contextmanager
def claim(gpus: Sequence[str], folder: Path) -> Iterator[str]:
    """Wait for one of the GPUs and hold it for this process; yields its name. ``folder``: of the locks."""
    folder.mkdir(parents=True, exist_ok=True)
    waiting = False
    while True:
        for gpu in gpus:
            lock = FileLock(folder / f"gpu-{gpu.replace('/', '_')}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield gpu
            finally:
                lock.release()
            return
        if not waiting:
            log.info("waiting for a GPU: other jobs hold %s", ", ".join(gpus))
            waiting = True
        time.sleep(POLL_SECONDS)


@contextmanager
def gpu_of_its_own(trainer: Trainer, side_by_side: bool, folder: Path | None = None) -> Iterator[str | None]:
    """Let this process see one GPU that no other job has; yields its name, or None if jobs need not share GPUs.

    They need not when they run one after the other, on a CPU or on several GPUs each, or when there is at most one GPU.
    ``folder``: of the locks; the default is this user's in the machine's temporary folder.
    """
    shared = side_by_side and trainer.devices == 1 and trainer.accelerator in ACCELERATORS
    gpus = _mine or (visible_gpus() if shared else [])
    if not shared or (len(gpus) < 2 and not _mine):
        yield None
        return
    before = os.environ.get(VISIBLE)
    with claim(gpus, folder or Path(tempfile.gettempdir()) / f"rerank-ablations-gpus-{os.getuid()}") as gpu:
        _mine[:] = [gpu]
        os.environ[VISIBLE] = gpu
        try:
            yield gpu
        finally:
            if before is None:
                del os.environ[VISIBLE]
            else:
                os.environ[VISIBLE] = before


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, by number or id as in CUDA_VISIBLE_DEVICES."""
    import torch

    count = torch.cuda.device_count()  # asks the driver's library and leaves CUDA as it is
    given = os.environ.get(VISIBLE)
    names = [name.strip() for name in given.split(",")] if given is not None else list(map(str, range(count)))
    return names[:count]
