"""Run the jobs of a multirun as tasks of Ray, on this machine or on a cluster: ``hydra/launcher=ray``.

The plugin hydra-ray-launcher 1.2.2 is not used: it asks for cloudpickle below 3, boto3 and Ray's dashboard, which
no set of versions fulfils together with this project's, and at Ctrl-C it kills jobs without telling them.
"""

import atexit
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from experiments.common import stopping
from experiments.common.errors import ExperimentError
from experiments.common.stopping import STOP_SECONDS

TARGET = "hydra_plugins.rerank_ablations.RayLauncher"  # Hydra takes no launcher from outside this namespace
POLL_SECONDS, STOP_SHARE = 0.5, 0.5  # share of the seconds to stop that jobs have
PASSED_ON = ("EXPERIMENTS_", "HYDRA_", "RERANK_ABLATIONS_", "WANDB_", "PYTHONPATH")  # beginnings of variables


def register(launcher: Mapping[str, Any]) -> None:
    """Make this launcher known to Hydra if a multirun asks for it. ``launcher``: its settings.

    Raises:
        ExperimentError: Ray is not installed.
    """
    if launcher["_target_"] != TARGET:
        return
    if find_spec("ray") is None:
        raise ExperimentError("hydra/launcher=ray is not installed: pip install 'rerank-ablations[ray]'")
    Plugins.instance().class_name_to_class[TARGET] = RayLauncher


class LostJobError(Exception):
    """A worker or its machine was lost, or a job was stopped from outside."""


class RayLauncher(Launcher):
    """Hydra's launcher. The settings are in ``conf/hydra/launcher/ray.yaml``."""

    def __init__(
        self,
        address: str | None,
        n_jobs: int | None,
        cpus_per_job: float,
        gpus_per_job: float | None,
        max_retries: int,
    ) -> None:
        self.address, self.n_jobs, self.max_retries = address, n_jobs, max_retries
        self.cpus, self.gpus = cpus_per_job, gpus_per_job
        self._known: tuple[HydraContext, TaskFunction, DictConfig]

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what each job is started with."""
        self._known = (hydra_context, task_function, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs and wait for all; returns how they ended, in their order.

        Raises:
            ExperimentError: no cluster answers at the address.
            LostJobError: a worker was lost; the other jobs have ended.
        """
        atexit.register(_end_what_is_left)  # after what Ray registers

        import ray

        setup_globals()
        config = self._known[2]
        configure_log(config.hydra.hydra_logging, config.hydra.verbose)
        Path(str(config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        self._connect()
        try:
            return self._run(list(enumerate(map(list, job_overrides), initial_job_idx)))
        finally:
            if stopping.received() is None:  # else how the jobs ended is said first, and Ray ends with this process
                ray.shutdown()

    def _connect(self) -> None:
        import ray

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # and no warning that says so
        os.environ.setdefault("RAY_worker_niceness", "0")  # by default jobs wait for everything else on the machine
        here: dict[str, Any] = {"include_dashboard": False}
        if self.n_jobs is not None:
            here["num_cpus"] = max(1, round(self.n_jobs * self.cpus))
        stopping.adopt_orphans()
        try:
            with _no_handlers():
                ray.init(logging_level="error", **({"address": self.address} if self.address is not None else here))
        except ConnectionError as error:
            raise ExperimentError(
                f"hydra.launcher.address={self.address}: no Ray cluster answers there: start one with "
                "ray start --head, or leave the address out"
            ) from error
        stopping.answer_again()

    def _run(self, jobs: Sequence[tuple[int, list[str]]]) -> list[JobReturn]:
        """Keep ``n_jobs`` jobs in Ray's hands until all have ended. ``jobs``: number and overrides of each."""
        import ray

        # A process a job: torch's threads and seeds are those of a fresh one.
        task = ray.remote(num_cpus=self.cpus, num_gpus=self._gpus(), max_calls=1, max_retries=self.max_retries)(
            _run_job
        )
        shared = ray.put((self._known, Singleton.get_state()))
        waiting, lost, latest = list(jobs), None, 0.0
        running: dict[Any, int] = {}  # Ray's reference to a job -> its number
        ended: dict[int, JobReturn] = {}
        while waiting or running:
            while waiting and (self.n_jobs is None or len(running) < self.n_jobs):
                number, overrides = waiting.pop(0)
                running[task.remote(shared, number, overrides, _surroundings())] = number
            over, _ = ray.wait(list(running), timeout=POLL_SECONDS)
            for reference in over:
                try:
                    ended[running.pop(reference)] = ray.get(reference)
                except ray.exceptions.RayError as error:
                    lost = error
            if stopping.received() is not None:  # jobs that run are told by their launch
                waiting.clear()
                latest = latest or time.monotonic() + STOP_SHARE * STOP_SECONDS
                if time.monotonic() > latest:
                    break
        stopping.check()
        if lost is not None:
            raise LostJobError from lost
        return [ended[number] for number, _ in jobs]

    def _gpus(self) -> float:
        import ray

        return self.gpus if self.gpus is not None else min(1.0, ray.cluster_resources().get("GPU", 0.0))


def _end_what_is_left() -> None:
    """Kill Ray's agents when a stopped process ends: they look only now and then whether the rest of Ray has ended."""
    if stopping.received() is not None:
        stopping.kill_descendants()


@contextmanager
def _no_handlers() -> Iterator[None]:
    """Keep Ray from answering SIGTERM itself: by an exit with 15."""
    import ray._private.utils as utils

    before, utils.set_sigterm_handler = utils.set_sigterm_handler, lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = before


def _surroundings() -> dict[str, Any]:
    """Return what a worker takes over from this process: the folder and some variables."""
    variables = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    return {"folder": str(Path.cwd()), "variables": variables}


def _run_job(shared: Any, number: int, overrides: list[str], surroundings: Mapping[str, Any]) -> JobReturn:
    """Run one job of a multirun in a worker. ``number``: from 0. ``shared``: what the launcher has for all jobs."""
    os.chdir(surroundings["folder"])
    os.environ.update(surroundings["variables"])
    (hydra_context, task_function, config), singletons = shared
    setup_globals()
    Singleton.set_state(singletons)
    job = hydra_context.config_loader.load_sweep_config(config, overrides)
    with open_dict(job):
        job.hydra.job.id = f"{job.hydra.job.name}_{number}"
        job.hydra.job.num = number
    HydraConfig.instance().set_config(job)
    try:
        return run_job(
            hydra_context=hydra_context,
            task_function=task_function,
            config=job,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except SystemExit:  # of an interrupted training; Ray would print that a worker has crashed
        raise LostJobError from None
