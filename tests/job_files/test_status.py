"""Where jobs stand, read off folders written by hand."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from experiments.common import cache, manifest
from experiments.common.errors import ExperimentError
from experiments.job_files.integrity import promised
from experiments.job_files.status import JobStatus, job_folders, note_failure, status_of, totals, write_status


def write(folder: Path, **status: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "status.json").write_text(json.dumps(status))
    return folder


def test_a_finished_job_is_done(tmp_path: Path):
    assert status_of(write(tmp_path, state="finished", error=None, attempts=2)) == JobStatus("done", attempts=2)


def test_a_folder_without_a_status_is_a_missing_job(tmp_path: Path):
    assert status_of(tmp_path / "nothing") == JobStatus("missing")
    (tmp_path / "hydra").mkdir()
    assert status_of(tmp_path) == JobStatus("missing")


def test_a_job_whose_lock_is_held_is_running_since_its_last_attempt_began(tmp_path: Path):
    write(tmp_path, state="running", attempts=2, started="2026-01-02T03:04:05+00:00")
    with FileLock(tmp_path / ".lock"):
        state = status_of(tmp_path)
    assert state.state == "running"
    assert (state.since, state.attempts) == (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), 2)


@pytest.mark.parametrize("with_lock", [True, False])
def test_a_job_that_says_running_and_that_nobody_holds_was_interrupted(tmp_path: Path, with_lock: bool):
    write(tmp_path, state="running", attempts=1)
    if with_lock:
        (tmp_path / ".lock").touch()
    assert status_of(tmp_path).state == "interrupted"
    assert status_of(tmp_path).needs_rerun


def test_a_job_that_was_told_to_stop_was_interrupted_and_did_not_fail(tmp_path: Path):
    assert status_of(write(tmp_path, state="failed", error="interrupted")).state == "interrupted"


def test_a_failed_job_says_why_in_one_line(tmp_path: Path):
    state = status_of(write(tmp_path, state="failed", error="RuntimeError: out of memory\nat line 7", attempts=1))
    assert (state.state, state.why, state.needs_rerun) == ("failed", "RuntimeError: out of memory", True)


def test_the_last_line_of_the_history_says_how_far_a_training_was(tmp_path: Path):
    write(tmp_path, state="failed", error="interrupted")
    (tmp_path / "history.tsv").write_text("step\tgroups\tloss\n10\t40\t0.7\n20\t80\t0.5\n")
    state = status_of(tmp_path)
    assert (state.step, state.groups) == (20, 80)


@pytest.mark.parametrize("text", ["{", "[]", '{"state": "asleep"}'])
def test_a_status_that_cannot_be_read_is_said_to_be_so(tmp_path: Path, text: str):
    (tmp_path / "status.json").write_text(text)
    state = status_of(tmp_path)
    assert state.state == "unreadable"
    assert state.why is not None
    assert state.why.startswith("status.json")


def test_totals_count_the_states_and_leave_out_those_of_no_job():
    assert totals([JobStatus("failed"), JobStatus("done"), JobStatus("done")]) == "2 done, 1 failed"


def test_the_jobs_of_a_study_are_the_folders_with_a_status(tmp_path: Path):
    write(tmp_path / "b", state="finished")
    write(tmp_path / "a", state="running")
    (tmp_path / "never_begun" / "hydra").mkdir(parents=True)
    assert [one.name for one in job_folders(tmp_path)] == ["a", "b"]


def test_the_jobs_of_a_study_are_those_that_began_and_those_of_the_last_launch(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "status.json").write_text('{"state": "failed"}')
    (tmp_path / "grid.json").write_text('["c", "a"]')
    folders = job_folders(tmp_path)
    assert [one.name for one in folders] == ["a", "b", "c"]
    assert status_of(folders[0]).state == "missing"


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path):
    with pytest.raises(ExperimentError, match="there is no folder"):
        job_folders(tmp_path / "quikstart")
    with pytest.raises(ExperimentError, match="no job has begun in"):
        job_folders(tmp_path)


def test_a_job_that_could_not_begin_fails_with_why(tmp_path: Path):
    note_failure(tmp_path / "lce", ExperimentError("there is no folder data: set data.path\nmore"), "1a2b3c4d")
    assert status_of(tmp_path / "lce").why == "there is no folder data: set data.path more"
    note_failure(tmp_path / "lce", ValueError("again"), "1a2b3c4d")
    assert status_of(tmp_path / "lce").why == "ValueError: again", "the second attempt to begin, as vain as the first"


def test_what_a_job_said_itself_is_not_overwritten(tmp_path: Path):
    write(tmp_path, state="failed", error="RuntimeError: out of memory", attempts=1)
    note_failure(tmp_path, RuntimeError("job failed"), "1a2b3c4d")
    assert status_of(tmp_path).why == "RuntimeError: out of memory"


def test_looking_at_states_imports_nothing_that_computes():
    code = "import sys, experiments.job_files.status, experiments.studies.plan; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_the_status_of_a_finished_job_reads_each_of_its_files_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("config.yaml", "metrics.json", "run.bm25.trec.gz"):
        (tmp_path / name).write_text(f"content of {name}")
    write_status(tmp_path, "finished", None, 1.0, {"files": promised(tmp_path)}, "12345678")
    read: list[str] = []
    monkeypatch.setattr(manifest, "file_digest", lambda path: [read.append(path.name), cache.file_digest(path)][1])
    assert status_of(tmp_path) == JobStatus("done", attempts=1)
    assert read == ["config.yaml", "metrics.json", "run.bm25.trec.gz"]
