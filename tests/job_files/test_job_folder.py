"""The folder of a job, held by one process."""

from pathlib import Path

from experiments.job_files.job_folder import JobFolder


def test_who_holds_a_job_deletes_what_a_killed_process_left_half_written(tmp_path: Path):
    left, kept = tmp_path / ".metrics.json.x1.part", tmp_path / "metrics.json"
    left.write_text("{")
    kept.write_text("{}")
    with JobFolder(tmp_path, "hash").locked():
        assert not left.exists()
        assert kept.read_text() == "{}"
