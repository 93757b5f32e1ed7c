"""Share tasks out among processes of their own, one a core.

They are no workers of multiprocessing, which would run a caller's script again that has no main guard. A worker is a
module run as a command that calls ``answer_tasks``; a task and its answer are a line of text each.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress

from experiments.common.stopping import SIGNALS


def answers_of(module: str, arguments: Sequence[str], tasks: Sequence[str]) -> Iterator[str]:
    """Yield the answers to tasks in the order in which they are ready.

    ``module``: the worker's. ``arguments``: of its command. No worker is left behind, whatever ends the caller.

    Raises:
        RuntimeError: a worker ended before it had answered.
    """
    count = min(os.cpu_count() or 1, len(tasks))
    path = os.pathsep.join(filter(None, sys.path))  # the package may lie where only this process looks
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )
        for _ in range(count)
    ]

    def ask(worker: "subprocess.Popen[str]", task: str) -> str:
        assert worker.stdin is not None
        assert worker.stdout is not None
        with suppress(BrokenPipeError):  # it has ended, and answers nothing
            print(task, file=worker.stdin, flush=True)
        if not (answer := worker.stdout.readline()):
            raise RuntimeError(f"a process of {module} ended with exit code {worker.wait()} before it had done {task}")
        return answer.strip()

    threads = ThreadPoolExecutor(count)
    left, asked = iter(tasks), {}
    try:
        for worker in workers:
            asked[threads.submit(ask, worker, next(left))] = worker
        while asked:
            ready, _ = wait(asked, return_when=FIRST_COMPLETED)
            for future in ready:
                worker = asked.pop(future)
                if (task := next(left, None)) is not None:
                    asked[threads.submit(ask, worker, task)] = worker
                yield future.result()
    finally:
        for worker in workers:
            worker.kill()  # those without a task have nothing to lose
            worker.wait()
        threads.shutdown()
        for worker in workers:
            assert worker.stdin is not None
            assert worker.stdout is not None
            with suppress(BrokenPipeError):  # a task that it was killed before it could read
                worker.stdin.close()
            worker.stdout.close()


def answer_tasks(answer: Callable[[str], str]) -> None:
    """Answer the tasks on stdin, a line each, until it ends. Signals are left to the process that asks."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    for line in sys.stdin:
        print(answer(line.strip()), flush=True)
