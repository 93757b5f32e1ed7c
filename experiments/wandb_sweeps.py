"""Write the grids of ``sweeps/`` as W&B sweeps, whose agents run the same jobs on many machines.

``python -m experiments.wandb_sweeps quickstart`` writes ``sweeps/wandb/quickstart.yaml`` at scale=mini and
``sweeps/wandb/paper/quickstart.yaml`` at scale=paper, below the current folder; without a name, all studies.
``wandb sweep sweeps/wandb/quickstart.yaml`` registers one, and ``wandb agent`` on each machine calls
``experiments.train`` with one value of each parameter. A job has the same name and folder whoever launches it.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from experiments.common.disk import explained
from experiments.common.errors import ExperimentError
from experiments.config.compose import register
from experiments.config.files import sweep_names, take_user_folder
from experiments.config.grid import axes_of

FOLDER = Path("sweeps", "wandb")  # below the current folder
BELOW = {"mini": Path(), "paper": Path("paper")}  # where the files of a scale are, in that folder
WIDTH = 120  # columns of a file

Axes = Mapping[str, Sequence[str]]


def wandb_sweep(sweep: str, axes: Axes, measure: str, scale: str) -> dict[str, Any]:
    """Return the W&B sweep of a grid.

    ``axes``: each override of the grid -> its values as Hydra takes them; one value makes a fixed argument, several a
    parameter. ``measure``: name of the headline in a job's summary. W&B's parameter names cannot contain Hydra's ``+``:
    the first value becomes a fixed argument with it, which the parameter without it replaces.
    """
    fixed = [f"{key}={values[0]}" for key, values in axes.items() if len(values) == 1 or key.startswith("+")]
    command = ["${env}", "python", "-m", "experiments.train", f"+sweeps={sweep}", f"scale={scale}"]
    return {
        "name": sweep if scale == "mini" else f"{sweep}-{scale}",
        "program": "experiments/train.py",
        "method": "grid",
        "metric": {"name": measure, "goal": "maximize"},
        "command": [*command, *fixed, "hydra.mode=RUN", "${args_no_hyphens}"],
        "parameters": {
            key.removeprefix("+"): {"values": list(values)} for key, values in axes.items() if len(values) > 1
        },
    }


def text_of(sweep: str, settings: Mapping[str, Any], path: Path) -> str:
    """Return the file of a W&B sweep. ``path``: its place, for the command in its first line."""
    return (
        f"# The study {sweep} as a W&B sweep: wandb sweep {path.as_posix()}, then wandb agent on each machine.\n"
        f"# Written by python -m experiments.wandb_sweeps {sweep}; change the study's own file, not this one.\n"
        + yaml.safe_dump(dict(settings), sort_keys=False, default_flow_style=None, width=WIDTH, allow_unicode=True)
    )


def write(sweeps: Sequence[str], folder: Path) -> list[Path]:
    """Write the W&B sweeps of studies below a folder; returns their paths.

    Raises:
        ExperimentError: a study does not exist.
    """
    unknown = [sweep for sweep in sweeps if sweep not in sweep_names()]
    if unknown:
        raise ExperimentError(f"there is no sweep {unknown[0]!r}: there are {', '.join(sweep_names())}")
    register()
    paths = []
    for sweep in sweeps:
        for scale, below in BELOW.items():
            path = folder / below / f"{sweep}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text_of(sweep, wandb_sweep(sweep, *axes_of(sweep, scale), scale), path), encoding="utf-8")
            paths.append(path)
    return paths


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, write the files and print their paths; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.wandb_sweeps",
        description="Write studies as W&B sweeps, for agents on many machines.",
    )
    parser.add_argument("studies", nargs="*", metavar="NAME", help="such as quickstart (default: all studies)")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="FOLDER", help="default: %(default)s")
    try:
        options = parser.parse_args(take_user_folder(sys.argv[1:] if arguments is None else arguments))
        with explained(options.out):
            for path in write(options.studies or sweep_names(), options.out):
                print(path)
    except ExperimentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
