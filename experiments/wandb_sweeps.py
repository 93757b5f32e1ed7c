"""The grids of ``sweeps/`` as W&B sweeps: the same jobs, handed out one by one to the agents of many machines.

``python -m experiments.wandb_sweeps`` writes ``sweeps/wandb/<name>.yaml`` at scale=mini and
``sweeps/wandb/paper/<name>.yaml`` at scale=paper. ``wandb sweep sweeps/wandb/quickstart.yaml`` registers one, and
``wandb agent`` on each machine calls ``experiments.train`` with one value of each parameter; ``hydra.mode=RUN`` makes
one job of the sweep's file. A job has the same name and folder whoever launches it.

Only reading the grid (``axes_of``) knows Hydra, and imports it there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from experiments.config.files import CONF, SWEEPS

FOLDERS = {"mini": SWEEPS / "wandb", "paper": SWEEPS / "wandb" / "paper"}
WIDTH = 120  # columns of a file

Axes = Mapping[str, Sequence[str]]


def wandb_sweep(sweep: str, axes: Axes, scale: str, measure: str) -> dict[str, Any]:
    """The W&B sweep of a grid.

    ``axes``: each override of the grid -> its values as Hydra takes them. What has one value is a fixed argument of the
    command, what has several is a parameter. ``measure``: what a job's summary calls its headline.

    W&B makes parameters' names keys of its config, where Hydra's ``+`` has no place: the first value is given as a
    fixed argument with it, and the parameter without it replaces that value.
    """
    fixed = [f"{key}={values[0]}" for key, values in axes.items() if len(values) == 1 or key.startswith("+")]
    return {
        "name": sweep if scale == "mini" else f"{sweep}-{scale}",
        "program": "experiments/train.py",
        "method": "grid",
        "metric": {"name": measure, "goal": "maximize"},
        "command": [
            "${env}",
            "python",
            "-m",
            "experiments.train",
            f"+sweeps={sweep}",
            f"scale={scale}",
            *fixed,
            "hydra.mode=RUN",
            "${args_no_hyphens}",
        ],
        "parameters": {
            key.removeprefix("+"): {"values": list(values)} for key, values in axes.items() if len(values) > 1
        },
    }


def text_of(sweep: str, settings: Mapping[str, Any], path: Path) -> str:
    """The file of a W&B sweep. ``path``: where it lies, below the repository's root."""
    return (
        f"# sweeps/{sweep}.yaml as a W&B sweep: wandb sweep {path.as_posix()}, then wandb agent on each machine.\n"
        f"# Made of that file by python -m experiments.wandb_sweeps; change that file, not this one.\n"
        + yaml.safe_dump(dict(settings), sort_keys=False, default_flow_style=None, width=WIDTH, allow_unicode=True)
    )


def axes_of(sweep: str, scale: str) -> tuple[dict[str, list[str]], str]:
    """The grid of ``sweeps/<sweep>.yaml`` at a scale: each of its overrides -> its values; and its first measure."""
    from hydra import compose, initialize_config_dir
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from experiments.config.compose import register
    from experiments.evaluation.measure_names import resolve

    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=[f"+sweeps={sweep}", f"scale={scale}"], return_hydra_config=True)
    given = [f"{key}={value}" for key, value in config.hydra.sweeper.params.items()]
    axes = {
        one.get_key_element(): (
            [str(value) for value in one.sweep_string_iterator()]
            if one.is_sweep_override()
            else [str(one.get_value_element_as_str())]
        )
        for one in OverridesParser.create().parse_overrides(given)
    }
    return axes, resolve(list(config.measures), config.data.min_grade)[0]


def files() -> dict[Path, str]:
    """The path of every W&B sweep, and what it should hold."""
    found = {}
    for scale, folder in FOLDERS.items():
        for sweep in sorted(path.stem for path in SWEEPS.glob("*.yaml")):
            path = folder / f"{sweep}.yaml"
            axes, measure = axes_of(sweep, scale)
            found[path] = text_of(sweep, wandb_sweep(sweep, axes, scale, measure), path.relative_to(SWEEPS.parent))
    return found


def main() -> None:
    """Write all files, and take away those whose sweep is gone."""
    wanted = files()
    for folder in FOLDERS.values():
        folder.mkdir(parents=True, exist_ok=True)
        for path in set(folder.glob("*.yaml")) - set(wanted):
            path.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    print(f"{len(wanted)} W&B sweeps written below {SWEEPS / 'wandb'}")


if __name__ == "__main__":
    main()
