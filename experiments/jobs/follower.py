"""Take part in the trainings that another process leads (``experiments.jobs.ranks``), until it ends."""

import logging
import os
import signal
import sys
from functools import partial
from pathlib import Path

from experiments.common import progress, stopping
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.jobs.prerequisites import where_trained, with_models
from experiments.jobs.ranks import announced
from experiments.jobs.run_job import run_job


def follow() -> None:
    """Take part in every training that is announced. The leader shows the progress, and has trained what they need."""
    logging.getLogger().setLevel(logging.ERROR)
    progress.console.quiet = True
    for config in announced():
        experiment = compose.restored(config)
        ready, components = with_models(experiment, partial(where_trained, experiment))
        run_job(ready, config, components)


def main() -> None:
    """Follow; a setting or file that cannot be used here is one message, as in the leader."""
    compose.register()
    leader = os.getppid()
    try:
        with (
            stopping.handled(to_exit=True),
            stopping.watching(lambda: signal.SIGTERM if os.getppid() != leader else None),
        ):
            follow()
    except ExperimentError as error:
        print(f"error in process {os.environ['RANK']}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    main()
