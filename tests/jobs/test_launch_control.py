"""The launch of a launch: which jobs may start."""

import multiprocessing
import shutil
import socket
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from experiments.common import stopping
from experiments.jobs.launch_control import LAUNCH, LaunchControl


def test_a_gate_without_conditions_lets_every_job_start(tmp_path: Path):
    assert LaunchControl.make(tmp_path).refusal("lce-n7") is None


def test_only_the_jobs_asked_for_may_start(tmp_path: Path):
    launch = LaunchControl.make(tmp_path, only=["lce-n7"])
    assert launch.refusal("lce-n7") is None
    assert launch.refusal("bce-n7") == "it is not one of those asked for"


def test_after_a_failure_no_job_may_start_if_the_launch_is_to_fail_fast(tmp_path: Path):
    launch = LaunchControl.make(tmp_path, fail_fast=True)
    assert launch.refusal("bce-n7") is None
    launch.note_failure("lce-n7")
    assert launch.refusal("bce-n7") == "lce-n7 has failed (--fail-fast)"


def test_after_a_failure_the_others_go_on_otherwise(tmp_path: Path):
    launch = LaunchControl.make(tmp_path)
    launch.note_failure("lce-n7")
    assert launch.refusal("bce-n7") is None


def test_a_stopped_launch_starts_nothing(tmp_path: Path):
    launch = LaunchControl.make(tmp_path)
    launch.stop()
    assert launch.refusal("lce-n7") == "its launch was stopped"


def test_a_worker_that_outlives_its_launch_starts_nothing(tmp_path: Path):
    launch = LaunchControl.make(tmp_path)
    shutil.rmtree(launch.folder)
    launch.note_failure("lce-n7")
    assert launch.refusal("lce-n7") == "its launch is over"


def test_what_a_killed_launch_has_left_is_deleted_by_the_next_however_little_it_is(tmp_path: Path):
    process = multiprocessing.get_context("fork").Process(target=LaunchControl.make, args=(tmp_path,))
    process.start()
    process.join()
    (left,) = tmp_path.glob(".launch-*")
    for path in left.iterdir():  # as where it was killed as it deleted them
        path.unlink()
    own, second = LaunchControl.make(tmp_path), LaunchControl.make(tmp_path)
    assert sorted(tmp_path.glob(".launch-*")) == sorted([own.folder, second.folder])


def test_the_launch_of_another_machine_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "node7")
    elsewhere = LaunchControl.make(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(stopping, "is_alive", lambda process: False)
    LaunchControl.clear_abandoned(tmp_path)
    assert elsewhere.folder.is_dir()
    assert elsewhere.asks_to_stop() is None


def test_the_override_that_names_a_gate_is_one_that_hydra_reads_back_whatever_the_folder_is_called(tmp_path: Path):
    launch = LaunchControl.make(tmp_path / "it's, {a} [study]")
    (parsed,) = OverridesParser.create().parse_overrides([launch.override])
    assert parsed.key_or_group == f"hydra.job.env_set.{LAUNCH}"
    assert LaunchControl.of({LAUNCH: parsed.value()}) == launch


def test_a_job_that_nothing_names_a_gate_to_has_none():
    assert LaunchControl.of({}) is None
    assert LaunchControl.of(None) is None


def test_prerequisites_are_numbered_up_to_0_and_the_jobs_from_1(tmp_path: Path):
    launch = LaunchControl.make(tmp_path)
    launch.note_labels(["seed=1", "seed=2"], ["a ColBERT", "a teacher"])
    assert launch.labels == ["seed=1", "seed=2"]
    assert launch.numbered == {-1: "a ColBERT", 0: "a teacher", 1: "seed=1", 2: "seed=2"}


def test_a_job_that_lacks_a_prerequisite_does_not_start_and_names_the_first_that_failed(tmp_path: Path):
    launch = LaunchControl.make(tmp_path)
    launch.note_lacking(["lce-n7"], "a teacher")
    launch.note_lacking(["lce-n7", "bce-n7"], "a ColBERT")
    assert launch.refusal("lce-n7") == "its prerequisite a teacher has failed"
    assert launch.refusal("bce-n7") == "its prerequisite a ColBERT has failed"
    assert launch.refusal("lce-n3") is None


def test_a_prerequisite_may_start_where_only_some_jobs_may(tmp_path: Path):
    launch = LaunchControl.make(tmp_path, only=["lce-n7"])
    assert launch.refusal("colbert-n7", prerequisite=True) is None
