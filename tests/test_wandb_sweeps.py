"""The W&B sweeps are the grids of sweeps/: the same jobs, by the same names."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.jobs import composed
from helpers.sweeps import SCALES, SWEEPS, job_of, jobs_of, rows_of
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from experiments.config import compose
from experiments.config.grid import axes_of
from experiments.config.identity import job_name
from experiments.wandb_sweeps import main, text_of, wandb_sweep

GRID = {"sample": ["small"], "loss": ["bce", "lce"], "seed": ["1", "2"]}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the W&B sweeps of all studies."""
    folder = tmp_path_factory.mktemp("wandb")
    assert main(["--out", str(folder)]) == 0
    return folder


def sweep_file(written: Path, sweep: str, scale: str) -> dict[str, Any]:
    path = written / {"mini": "", "paper": "paper"}[scale] / f"{sweep}.yaml"
    settings: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return settings


def arguments_of(settings: dict[str, Any], values: dict[str, str]) -> list[str]:
    """What an agent of W&B calls ``experiments.train`` with, by W&B's own function, less ``hydra.mode``."""
    given = create_sweep_command_args({"args": {key: {"value": value} for key, value in values.items()}})
    *fixed, last = settings["command"][4:]
    assert last == "${args_no_hyphens}"
    assert fixed.pop() == "hydra.mode=RUN"
    return [*fixed, *given["args_no_hyphens"]]


def runs_of(settings: dict[str, Any]) -> list[dict[str, str]]:
    """The values that ``method: grid`` goes through, with seed 1."""
    parameters = {key: one["values"] for key, one in settings["parameters"].items()}
    if "seed" in parameters:
        parameters["seed"] = ["1"]
    return [dict(zip(parameters, row, strict=True)) for row in product(*parameters.values())]


def name_of(overrides: list[str]) -> str:
    config = composed(*overrides)
    compose.check(config)
    return job_name(compose.plain(config))


def test_what_varies_is_a_parameter_and_what_does_not_an_argument_of_the_command():
    assert wandb_sweep("study", GRID, "RR@10", "mini") == {
        "name": "study",
        "program": "experiments/train.py",
        "method": "grid",
        "metric": {"name": "RR@10", "goal": "maximize"},
        "command": [
            "${env}",
            "python",
            "-m",
            "experiments.train",
            "+sweeps=study",
            "scale=mini",
            "sample=small",
            "hydra.mode=RUN",
            "${args_no_hyphens}",
        ],
        "parameters": {"loss": {"values": ["bce", "lce"]}, "seed": {"values": ["1", "2"]}},
    }


def test_a_group_that_is_added_is_named_without_the_plus_and_added_with_its_first_value():
    made = wandb_sweep("study", {"+sweeps/study": ["a", "b"]}, "RR@10", "paper")
    assert made["name"] == "study-paper"
    assert "+sweeps/study=a" in made["command"]
    assert made["parameters"] == {"sweeps/study": {"values": ["a", "b"]}}


def test_a_file_reads_back_as_what_was_written(tmp_path):
    made = wandb_sweep("study", GRID, "RR@10", "mini")
    assert yaml.safe_load(text_of("study", made, tmp_path)) == made


def test_every_study_has_a_file_at_each_scale(written: Path):
    for folder in (written, written / "paper"):
        assert sorted(path.stem for path in folder.glob("*.yaml")) == SWEEPS


def test_one_study_alone_is_written_below_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["quickstart"]) == 0
    paths = ["sweeps/wandb/quickstart.yaml", "sweeps/wandb/paper/quickstart.yaml"]
    assert capsys.readouterr().out.splitlines() == paths
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.yaml")) == sorted(paths)


def test_a_study_that_there_is_not_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["quikstart", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: there is no sweep 'quikstart': there are ")


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("sweep", SWEEPS)
def test_the_arguments_of_the_runs_are_the_overrides_of_the_grids_jobs(written: Path, sweep: str, scale: str):
    settings = sweep_file(written, sweep, scale)
    added = {f"+{key}" for key in settings["parameters"]}
    runs = [
        {one for one in arguments_of(settings, values) if one.partition("=")[0] not in added} | {"seed=1"}
        for values in runs_of(settings)
    ]
    jobs = [
        {one.removeprefix("+") if one.partition("=")[0] in added else one for one in row.overrides}
        for row in rows_of(sweep, scale)
    ]
    assert sorted(map(sorted, runs)) == sorted(map(sorted, jobs))


@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_value_composes_to_a_job_of_the_grid(written: Path, sweep: str):
    settings = sweep_file(written, sweep, "mini")
    runs = runs_of(settings)
    first = runs[0]
    one_changed = [one for one in runs if sum(one[key] != first[key] for key in first) <= 1]
    names = [name_of(arguments_of(settings, values)) for values in one_changed]
    assert len(set(names)) == len(names)
    assert set(names) <= {job.name for job in jobs_of(sweep, "mini")}


@pytest.mark.parametrize("sweep", SWEEPS)
def test_the_first_run_at_paper_scale_composes_to_the_first_job_of_the_grid(written: Path, sweep: str):
    settings = sweep_file(written, sweep, "paper")
    assert name_of(arguments_of(settings, runs_of(settings)[0])) == job_of(sweep, "paper", 0).name


def test_values_that_hold_commas_are_kept_whole():
    axes, _ = axes_of("ananthakrishnan2025_infused", "mini")
    assert axes["model"][1] == "{layers:2,infused:[1,2]}"
    assert axes["backbone"] == ["minilm"]
