"""Studies on a tiny BERT in this process, and jobs of theirs that break."""

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from experiments.config.files import CONF
from experiments.job_files.status import status_of

BOTH = ["loss=bce,lce", "study=both"]  # what most tests run: two jobs


def in_this_process(command: Sequence[str], launch: Any) -> int:
    """What ``run_to_end`` does with ``python -m experiments.train -m ...``, without the start of another Python."""
    from experiments import train
    from experiments.jobs import hydra_app

    before, sys.argv = sys.argv, ["train", "--config-path", str(CONF), *command[3:]]
    try:
        hydra_app.entry(train.main)
    except SystemExit as end:
        return int(end.code or 0)
    except (Exception, KeyboardInterrupt) as error:  # what Python would print before it exits with 1
        print(error, file=sys.stderr)
        return 1
    finally:
        sys.argv = before
    return 0


def broken(monkeypatch: pytest.MonkeyPatch, loss: str, error: BaseException) -> None:
    """Let a loss raise an error."""
    from experiments.losses import bce, lce

    module = {"bce": bce, "lce": lce}[loss]

    @functools.wraps(getattr(module, loss))
    def raising(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(module, loss, raising)


def states(folder: Path) -> dict[str, str]:
    """The loss of each job that Hydra made a folder of -> where the job stands."""
    return {path.name.partition("-")[0]: status_of(path).state for path in sorted(folder.iterdir()) if path.is_dir()}


def job(folder: Path, loss: str) -> Path:
    (found,) = folder.glob(f"{loss}-*")
    return found
