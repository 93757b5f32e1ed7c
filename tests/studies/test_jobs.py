"""The jobs in the folder of a study, which ``study status`` lists and ``study rerun-failed`` launches."""

import json
from pathlib import Path

import pytest
import yaml

from experiments.studies import jobs
from experiments.studies.jobs import jobs_in


def _job(study: Path, name: str, config: dict[str, object], **status: object) -> Path:
    folder = study / name
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_a_measurement_that_failed_is_launched_by_the_job_whose_model_it_measures(tmp_path: Path):
    trained = _job(tmp_path, "lce-1", {}, state="finished")
    measured = {"test_set": "deep", "model": {"path": str(trained / "model")}}
    _job(tmp_path, "lce-1@deep", measured, state="failed", error="RuntimeError: full")
    assert [job.launched for job in jobs_in(tmp_path) if job.status.needs_rerun] == [trained]


def test_the_config_of_a_finished_job_is_read_for_its_digest_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for number in (1, 2):
        _job(tmp_path, f"lce-{number}", {"model": {"path": "p"}}, state="finished")
    parsed: list[Path] = []
    monkeypatch.setattr(jobs, "read_job_config", parsed.append)
    assert [job.status.state for job in jobs_in(tmp_path)] == ["done", "done"]
    assert parsed == []
