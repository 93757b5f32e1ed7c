"""End a job of submitit at a checkpoint when its time is over or it is preempted, and queue it again.

SLURM says so by SIGUSR2, or SIGUSR1 (SUBMITIT_PREEMPT_SIGNAL). submitit's own handler would queue the job again in the
middle of a step and lose the steps since the last checkpoint. Here the training ends after the step, as at SIGTERM, but
is not killed if that lasts: SLURM leaves time for it.
After SIGTERM alone a job is not queued again from here: that is how ``scancel`` ends it, and SLURM itself queues what
it preempts that way.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from experiments.common import stopping

SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)
ACTIVE = "SUBMITIT_EXECUTOR"  # set in the environment of a job of submitit


@contextmanager
def queued_again_when_preempted(note: Callable[[], None]) -> Iterator[None]:
    """Answer the signals of a preemption in this context, in a job of submitit: the process ends, queued again.

    ``note``: called before it is queued again.
    """
    if ACTIVE not in os.environ:
        yield
        return
    import submitit

    before = {number: signal.getsignal(number) for number in SIGNALS}
    queue_again = before[submitit.JobEnvironment._usr_sig()]
    received: list[int] = []
    assert callable(queue_again)

    def preempted(number: int, frame: FrameType | None) -> None:
        if stopping.received() is None:
            received.append(number)
            stopping.request(number)

    for number in SIGNALS:
        signal.signal(number, preempted)
    try:
        yield
    except SystemExit:
        if received:
            note()
            queue_again(received[-1], None)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
