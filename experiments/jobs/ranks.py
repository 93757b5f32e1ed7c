"""Run one training in several processes (ranks): the first leads and owns the job's folder, the others follow it.

The leader starts a process for each further device, unless torchrun has started them all. It tells the others which
trainings to take part in: what it alone decides, such as that a job is done already or which model must be trained
first, then leaves no process waiting for another.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import count
from typing import Any

from experiments.common.errors import ExperimentError

FOLLOWER = "experiments.jobs.follower"  # the module that another process runs
STARTED_BY_US = "RERANK_ABLATIONS_RANKS"  # environment variable of a leader that has started the others
DAYS = timedelta(days=1000)  # a follower waits as long as its leader lives
ENDING_SECONDS, FAILING_SECONDS, STUCK_SECONDS = 60.0, 3.0, 120.0  # of a follower; of a leader that does not notice


def started_outside() -> bool:
    """Return whether torchrun, or a cluster in its manner, has started several processes of this command."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and STARTED_BY_US not in os.environ


def follows() -> bool:
    """Return whether this process follows another one."""
    return int(os.environ.get("RANK", "0")) > 0 and int(os.environ.get("WORLD_SIZE", "1")) > 1


class _Trainings:
    """The trainings that a leader announces, in their order, through torch's store; an empty one is the end."""

    def __init__(self) -> None:
        from torch._C._distributed_c10d import PrefixStore, TCPStore
        from torch.distributed.rendezvous import rendezvous

        if started_outside():
            store, *_ = next(rendezvous("env://"))
        else:  # the same place without waiting for the others, which may fail before they come
            place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            store = TCPStore(*place, is_master=not follows(), wait_for_workers=False, multi_tenant=True)
        store.set_timeout(DAYS)
        self._store = PrefixStore("rerank-ablations", store)
        self._announced = 0

    def announce(self, config: Mapping[str, Any] | None) -> None:
        self._store.set(f"training {self._announced}", json.dumps(config) if config is not None else "")
        self._announced += 1

    def wait(self) -> Iterator[dict[str, Any]]:
        for number in count():
            text = self._store.get(f"training {number}").decode()
            if not text:
                return
            yield json.loads(text)


_outside: list[_Trainings] = []  # of processes that torchrun started: one for all trainings of this process


def announced() -> Iterator[dict[str, Any]]:
    """Yield the config of each training that the leader announces; for followers."""
    yield from _Trainings().wait()


def end_outside() -> None:
    """Tell the followers that torchrun started that nothing more comes; for the end of a leader."""
    if started_outside() and not follows():
        (_outside or [_Trainings()])[0].announce(None)


@contextmanager
def leading(devices: int, config: Mapping[str, Any]) -> Iterator[None]:
    """Have a training run on several devices inside this context; do nothing for one device, or in a follower.

    ``config``: of the job, from which followers make the same training.

    Raises:
        ExperimentError: torchrun started another number of processes, or a follower ended early.
    """
    if follows():
        yield
    elif started_outside():
        if int(os.environ["WORLD_SIZE"]) != devices:
            raise ExperimentError(
                f"torchrun started {os.environ['WORLD_SIZE']} processes but trainer.devices={devices}: give both the "
                f"same number, or leave torchrun out, as trainer=ddp starts its processes itself"
            )
        if not _outside:
            _outside.append(_Trainings())
        _outside[0].announce(config)
        yield
    elif devices == 1:
        yield
    else:
        with _placed(devices) as places, _followers(places) as followers:
            trainings = _Trainings()
            trainings.announce(config)
            with _watched(followers):
                yield
                trainings.announce(None)
            for follower in followers:
                with suppress(subprocess.TimeoutExpired):  # it is killed then: its work is done
                    follower.wait(ENDING_SECONDS)
            if (failure := _failure(followers)) is not None:
                raise ExperimentError(failure)


@contextmanager
def _placed(devices: int) -> Iterator[list[dict[str, str]]]:
    """Set the environment of the first of several processes; yield that of the others."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": str(devices), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, STARTED_BY_US: "1"}
    places = [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(devices)]
    before = {name: os.environ.get(name) for name in places[0]}
    os.environ.update(places[0])
    try:
        yield places[1:]
    finally:
        from torch import distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)  # Lightning removes some itself
            else:
                os.environ[name] = value


@contextmanager
def _followers(places: Sequence[Mapping[str, str]]) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Start the followers; none is left behind. An interrupt in the terminal reaches the leader alone."""
    path = os.pathsep.join(filter(None, sys.path))  # the package may lie where only this process looks
    command = [sys.executable, "-m", FOLLOWER]
    followers = [
        subprocess.Popen(command, env=os.environ | place | {"PYTHONPATH": path}, start_new_session=True)
        for place in places
    ]
    try:
        yield followers
    finally:
        for follower in followers:
            follower.kill()
            follower.wait()


@contextmanager
def _watched(followers: Sequence["subprocess.Popen[bytes]"]) -> Iterator[None]:
    """End this context with one clear error if a follower ends early, and the process if it does not notice."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            if (failure := _failure(followers)) is not None:
                if not over.wait(STUCK_SECONDS):  # a GPU waits for ever for what the other does not send
                    print(f"error: {failure}", file=sys.stderr, flush=True)
                    os._exit(1)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except Exception as error:
        latest = time.monotonic() + FAILING_SECONDS
        while (failure := _failure(followers)) is None and time.monotonic() < latest:
            time.sleep(0.1)  # a follower that made this process fail is ending
        if failure is not None:
            raise ExperimentError(failure) from error
        raise
    finally:
        over.set()


def _failure(followers: Sequence["subprocess.Popen[bytes]"]) -> str | None:
    for rank, follower in enumerate(followers, 1):
        if code := follower.poll():
            return (
                f"process {rank} of this training's {len(followers) + 1} ended with exit code {code}: what it said is "
                f"above; the same command goes on from the last checkpoint"
            )
    return None
