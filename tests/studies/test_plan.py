"""A plan: totals and times of literal jobs, and how they are said."""

from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from experiments.common.text import duration
from experiments.job_files.status import JobStatus
from experiments.studies.cost_estimate import Cost
from experiments.studies.plan import Plan, PlannedJob, detail, places_of, print_status, totals_of, wall

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"


def planned(number: int | None, word: str = "missing", seconds: float | None = None) -> PlannedJob:
    return PlannedJob(number, Path(f"lce-{number}"), f"seed={number}", JobStatus(word), Cost(10, 20, 300), seconds)


def test_jobs_take_the_first_place_that_is_free():
    assert wall([30, 10, 20, 5], 2) == 35, "30 | 10 + 20, then 5 beside: at 30 both are free"
    assert wall([30, 10, 20, 5], 1) == 65
    assert wall([], 3) == 0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 8))
def test_side_by_side_is_never_slower_than_one_by_one_nor_faster_than_the_places_allow(
    seconds: list[float], places: int
):
    found = wall(seconds, places)
    assert max(max(seconds), sum(seconds) / places) <= found * (1 + 1e-9)
    assert found <= sum(seconds) * (1 + 1e-9)


def test_what_is_needed_first_is_waited_for():
    plan = Plan((planned(None, seconds=100), planned(1, seconds=30), planned(2, seconds=30)), 2, 5)
    assert plan.seconds == 160
    assert plan.wall_seconds == 130


def test_what_is_done_costs_nothing_more():
    plan = Plan((planned(1, "done", 100), planned(2, "failed", 50)), 1, 5)
    assert plan.seconds == plan.wall_seconds == 50
    assert totals_of(plan) == [
        "2 jobs: 1 done, 1 failed; what is done is skipped",
        "to do: 10 groups, 20 pairs trained on, 300 scored",
        "time: 50 s one after the other (from 5 finished jobs of the same kind)",
    ]


def test_a_study_that_is_done_says_no_more_than_that():
    assert totals_of(Plan((planned(1, "done"),), 1, 0)) == ["1 job: 1 done; what is done is skipped"]


def test_side_by_side_the_time_until_all_is_done_is_named_too():
    *_, time = totals_of(Plan((planned(1, seconds=60), planned(2, seconds=60)), 2, 1))
    assert time == "time: 2 min one after the other (from 1 finished job of the same kind), 60 s with 2 side by side"


def test_without_a_measurement_no_time_is_named():
    *_, time = totals_of(Plan((planned(1), planned(2)), 2, 0))
    assert time == "time: no measurement yet of such jobs on such a device; the first to finish gives one"


def test_jobs_of_which_nothing_was_measured_are_not_hidden_in_the_time_of_others():
    plan = Plan((planned(1, seconds=60), planned(2)), 2, 3)
    assert plan.wall_seconds is None
    *_, time = totals_of(plan)
    assert time == "time: 60 s (from 3 finished jobs of the same kind), and 1 job of which there is no measurement yet"


def test_an_unknown_number_makes_an_unknown_total():
    unknown = PlannedJob(2, Path("lce-2"), "", JobStatus("missing"), Cost(None, None, None), None)
    assert totals_of(Plan((planned(1), unknown), 1, 0))[1] == "to do: ? groups, ? pairs trained on, ? scored"


@pytest.mark.parametrize(
    ("launcher", "jobs", "places"), [(BASIC, None, 1), (JOBLIB, 3, 3), (JOBLIB, -1, 8), (JOBLIB, -2, 7)]
)
def test_places_are_the_launchers(monkeypatch: pytest.MonkeyPatch, launcher: str, jobs: int | None, places: int):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert places_of(launcher, jobs) == places


def test_a_launcher_that_says_nothing_of_places_decides_itself():
    assert places_of("hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher", None) is None
    *_, time = totals_of(Plan((planned(1, seconds=9),), None, 1))
    assert time.endswith("how many run side by side is the launcher's to decide")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "?"), (8.4, "8 s"), (89, "89 s"), (90, "2 min"), (5300, "88 min"), (7500, "2 h 05 min")],
)
def test_a_duration_is_said_as_one_would_say_it(seconds: float | None, said: str):
    assert duration(seconds) == said


def test_a_running_job_says_since_when_in_which_attempt_and_how_far():
    state = JobStatus("running", None, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), 2, step=1500, groups=6000)
    local = state.since.astimezone() if state.since else None
    assert detail(state, 8000) == f"since {local:%Y-%m-%d %H:%M:%S}, attempt 2, step 1,500, 6,000 of 8,000 groups"


def test_a_failed_job_says_why():
    assert detail(JobStatus("failed", "RuntimeError: out of memory", attempts=1, step=3, groups=12)) == (
        "RuntimeError: out of memory"
    )


def test_the_status_has_a_row_a_job_and_the_totals():
    out = StringIO()
    jobs = [
        (Path("outputs/a/lce-1"), JobStatus("done")),
        (Path("outputs/a/lce-2"), JobStatus("failed", "[red] herring")),
    ]
    print_status(jobs, [100, 100], Console(file=out, width=80))
    rows = [line.rstrip() for line in out.getvalue().splitlines()]
    assert "lce-1   done" in rows
    assert "lce-2   failed   [red] herring" in rows
    assert rows[-1] == "2 jobs: 1 done, 1 failed"
