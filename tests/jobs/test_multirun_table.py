"""The table of a multirun, and its lines: literal jobs, texts by hand."""

from io import StringIO

import pytest
from rich.console import Console

from experiments.job_files.live_status import LiveStatus
from experiments.jobs.multirun_table import ended, jobs_of, line_of, seconds_left, table_of, total_of

TRAINING = LiveStatus(2, "loss=lce seed=1", "running", "training", 30, 90, 10, since=100.0, began=95.0)
DONE = LiveStatus(1, "loss=bce seed=1", "done", score="test MRR@10 0.345", seconds=40.0)
FAILED = LiveStatus(3, "loss=bce seed=2", "failed", why="RuntimeError: out of memory", log="outputs/a/b/train.log")
WAITING = LiveStatus(4, "loss=lce seed=2")
JOBS = [DONE, TRAINING, FAILED, WAITING]


def drawn(jobs: list[LiveStatus], lines: int | None = None, width: int = 80) -> list[str]:
    out = StringIO()
    Console(file=out, width=width).print(table_of(jobs, now=110.0, lines=lines))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_table_has_a_row_a_job_and_the_total():
    assert drawn(JOBS) == [
        "#   job               state       step               score     left",
        "─" * 67,
        "1   loss=bce seed=1   done               test MRR@10 0.345   (40 s)",
        "2   loss=lce seed=1   training   30/90                         30 s",
        "3   loss=bce seed=2   failed",
        "4   loss=lce seed=2   waiting",
        "4 jobs: 1 done, 1 failed, 1 running, 1 waiting; about 70 s left",
    ]


def test_a_long_label_is_folded_and_nothing_is_cut_at_80_columns():
    label = "loss=lce negatives.count=31 negatives.source=bm25+colbert backbone=electra_base seed=1"
    job = LiveStatus(1, label, "running", "training", 1250, 30000, 0, 100.0, score="dev MRR@10 0.345")
    lines = drawn([job])
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    assert "1,250/30,000   dev MRR@10 0.345" in lines[2]


def test_what_a_screen_has_no_room_for_is_counted_and_what_runs_is_shown():
    lines = drawn([*(LiveStatus(n, f"seed={n}", "done before") for n in range(5, 40)), *JOBS], lines=8)
    assert [line.split()[0] for line in lines[2:5]] == ["1", "2", "3"]
    assert " ".join(lines[5:]).startswith("and 36 jobs more; 39 jobs: 1 done, 35 done before, 1 failed, 1 running")
    assert len(lines) <= 8


@pytest.mark.parametrize(
    ("job", "line"),
    [
        (DONE, "[1/4] loss=bce seed=1: done in 40 s, test MRR@10 0.345"),
        (TRAINING, "[2/4] loss=lce seed=1: training 30 of 90, 30 s left"),
        (FAILED, "[3/4] loss=bce seed=2: failed: RuntimeError: out of memory (see outputs/a/b/train.log)"),
        (WAITING, "[4/4] loss=lce seed=2: waiting"),
        (LiveStatus(4, "seed=2", "running"), "[4/4] seed=2: starts"),
        (LiveStatus(4, "seed=2", "done before", score="test MRR@10 0.3"), "[4/4] seed=2: done before, test MRR@10 0.3"),
        (
            LiveStatus(4, "seed=2", "not started", why="its launch was stopped"),
            "[4/4] seed=2: not started: its launch was stopped",
        ),
    ],
)
def test_a_line_says_where_a_job_stands(job: LiveStatus, line: str):
    assert line_of(job, 4, now=110.0) == line


def test_a_job_that_no_count_is_known_of_says_so():
    assert line_of(WAITING, 0, now=110.0) == "[4/?] loss=lce seed=2: waiting"


def test_a_prerequisite_is_first_in_place_of_a_number():
    assert line_of(LiveStatus(0, "lce-n7-bm25-s1 (prerequisite: loss.teacher)"), 4, now=110.0) == (
        "[first] lce-n7-bm25-s1 (prerequisite: loss.teacher): waiting"
    )


def test_jobs_that_have_not_begun_wait_and_those_not_asked_for_are_left_out():
    jobs = jobs_of({1: "seed=1", 2: "", 3: "seed=3"}, {1: DONE})
    assert [(job.number, job.label, job.state) for job in jobs] == [
        (1, "loss=bce seed=1", "done"),
        (3, "seed=3", "waiting"),
    ]


def test_a_job_that_still_runs_when_its_launch_is_over_was_interrupted():
    assert [job.state for job in ended(JOBS)] == ["done", "interrupted", "failed", "waiting"]
    assert total_of(ended(JOBS), 110.0) == "4 jobs: 1 done, 1 failed, 1 interrupted, 1 waiting"


def test_the_rest_takes_as_long_as_the_done_jobs_did_with_as_many_side_by_side_as_now():
    other = LiveStatus(5, "", "running", began=100.0)
    assert seconds_left([DONE, TRAINING, WAITING, other], now=110.0) == 50.0, "(30 + 30 + 40) / 2"


def test_before_any_job_is_done_the_rest_is_known_only_when_none_waits():
    assert seconds_left([TRAINING, WAITING], now=110.0) is None
    assert seconds_left([TRAINING], now=110.0) == 30.0
    assert seconds_left([LiveStatus(1, state="running", began=100.0)], now=110.0) is None
