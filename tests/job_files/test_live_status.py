"""What a job of a multirun says of itself."""

from pathlib import Path

import pytest

from experiments.job_files import live_status
from experiments.job_files.live_status import LiveStatus, LiveStatusFile, read_statuses


def test_a_job_that_starts_says_so(tmp_path: Path):
    LiveStatusFile(tmp_path, 3, "loss=lce")
    (status,) = read_statuses(tmp_path).values()
    assert (status.number, status.label, status.state, status.doing) == (3, "loss=lce", "running", "")


def test_work_is_counted_from_where_an_earlier_run_came_to(tmp_path: Path):
    file = LiveStatusFile(tmp_path, 1, "")
    with file.tracked("training", total=100, done=40) as advance:
        advance(10, "dev MRR@10 0.250")
        file.say()
        status = read_statuses(tmp_path)[1]
    assert (status.doing, status.before, status.done, status.total) == ("training", 40, 50, 100)
    assert status.score == "dev MRR@10 0.250"


def test_after_some_work_a_job_is_again_at_what_is_around_it(tmp_path: Path):
    file = LiveStatusFile(tmp_path, 1, "")
    with file.tracked("training", total=100) as train:
        train(7)
        with file.tracked("tokenising", total=5) as tokenise:
            tokenise(5)
        assert (file.status.doing, file.status.done, file.status.total) == ("training", 7, 100)


def test_what_changes_fast_is_not_written_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live_status, "WRITE_SECONDS", 60.0)
    file = LiveStatusFile(tmp_path, 1, "")
    with file.tracked("training", total=100) as advance:
        advance(1)
        assert read_statuses(tmp_path)[1].done == 0, "right after the last write"
        assert file.status.done == 1


def test_the_end_is_written_with_the_time_it_took(tmp_path: Path):
    file = LiveStatusFile(tmp_path, 1, "")
    file.end("failed", why="RuntimeError: out of memory", log="train.log")
    status = read_statuses(tmp_path)[1]
    assert (status.state, status.why, status.log) == ("failed", "RuntimeError: out of memory", "train.log")
    assert status.seconds >= 0


def test_a_job_that_outlives_its_launch_writes_nothing(tmp_path: Path):
    (tmp_path / "launch").mkdir()
    file = LiveStatusFile(tmp_path / "launch", 1, "")
    file.path.unlink()
    file.path.parent.rmdir()
    file.end("done")
    assert not (tmp_path / "launch").exists()


@pytest.mark.parametrize(
    ("status", "left"),
    [
        (
            LiveStatus(1, state="running", doing="training", done=30, total=90, before=10, since=100.0),
            30.0,
        ),  # 2 a second
        (LiveStatus(1, state="running", doing="training", done=10, total=90, before=10, since=100.0), None),
        (LiveStatus(1, state="done", done=30, total=90, before=10, since=100.0), None),
    ],
)
def test_the_time_left_goes_by_what_was_done_since_the_work_began(status: LiveStatus, left: float | None):
    assert status.seconds_left(now=110.0) == left
