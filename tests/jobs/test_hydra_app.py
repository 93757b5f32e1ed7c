"""How the entry points end."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from helpers.jobs import ROOT

from experiments.common.errors import ExperimentError
from experiments.common.stopping import Stopped
from experiments.jobs.hydra_app import entry


def raising(error: BaseException, while_handling: BaseException | None = None) -> Callable[[], None]:
    def main() -> None:
        if while_handling is None:
            raise error
        try:
            raise while_handling
        except BaseException:
            raise error from while_handling

    return main


@pytest.mark.parametrize(
    ("main", "code"),
    [
        (raising(ExperimentError("seed is -1")), 2),
        (raising(KeyboardInterrupt()), 130),
        (raising(SystemExit(1), KeyboardInterrupt()), 130),  # Lightning, when a training is interrupted
        (raising(Stopped(143)), 143),
        (raising(SystemExit(3)), 3),
    ],
)
def test_the_exit_code_says_how_it_ended(main: Callable[[], None], code: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.argv", ["train"])
    with pytest.raises(SystemExit) as end:
        entry(main)
    assert end.value.code == code


def test_the_help_of_train_fits_on_two_screens():
    done = subprocess.run(
        [sys.executable, "-m", "experiments.train", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert 20 < len(lines) <= 100
    said = " ".join(lines)
    assert all(word in said for word in ("callbacks:", "scheduler:", "negatives.count", "docs/configuration.md"))
