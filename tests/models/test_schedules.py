"""Learning-rate schedules at the points that the papers name; each function has its file in conf/scheduler."""

import inspect

import pytest
import yaml
from helpers.jobs import ROOT, composed

from experiments.config import compose
from experiments.models import schedules
from experiments.models.optimizer import make_schedule
from experiments.models.schedules import constant, inverse_time, linear, warmup_steps

FILES = sorted((ROOT / "conf" / "scheduler").glob("*.yaml"))


def test_warm_up_is_a_share_or_a_number():
    assert warmup_steps(0.1, 1000) == 100
    assert warmup_steps(3000, 30_000) == 3000
    assert warmup_steps(0, 1000) == 0


def test_warm_up_rises_linearly_from_the_first_step():
    assert [linear(step, 100, warmup=4) for step in range(5)] == [pytest.approx(x) for x in (0.2, 0.4, 0.6, 0.8, 1.0)]


def test_linear_falls_to_zero_at_the_end():
    assert linear(55, 100, warmup=10) == pytest.approx(0.5)
    assert linear(100, 100, warmup=10) == 0.0


def test_inverse_time_of_pradeep_ends_at_about_053():
    assert inverse_time(3000, 30_000, warmup=3000) == 1.0
    assert inverse_time(30_000, 30_000, warmup=3000) == pytest.approx(0.526, abs=5e-4)


def test_constant_stays():
    assert constant(99, 100, warmup=0.1) == 1.0


@pytest.mark.parametrize("option", [file.stem for file in FILES])
def test_every_file_gives_a_schedule_that_warms_up_to_the_peak(option: str):
    experiment = compose.check(composed(f"scheduler={option}"))
    factor = make_schedule(experiment.scheduler, 100_000)
    warming = warmup_steps(experiment.scheduler["warmup"], 100_000)
    assert 0 < factor(0) < factor(warming - 1) < 1
    assert factor(warming) == 1.0
    assert 0 <= factor(99_999) <= 1


def test_every_schedule_has_a_file_that_names_its_settings():
    functions = {
        f"experiments.models.schedules.{name}": function
        for name, function in inspect.getmembers(schedules, inspect.isfunction)
        if "step" in inspect.signature(function).parameters and not name.startswith("_")
    }
    shown = [yaml.safe_load(file.read_text()) for file in FILES]
    named = {settings["_target_"]: settings for settings in shown if "_target_" in settings}
    assert named.keys() == functions.keys()
    for target, function in functions.items():
        assert named[target].keys() - {"_target_"} == set(inspect.signature(function).parameters) - {"step", "steps"}


@pytest.mark.parametrize("paper", ["gao2021", "nogueira2019", "pradeep2022"])
def test_a_papers_optimiser_chooses_its_schedule(paper: str):
    assert composed(f"optimizer={paper}").scheduler == composed(f"scheduler={paper}").scheduler
    assert composed(f"optimizer={paper}", "scheduler=constant").scheduler._target_.endswith("constant")
