"""A study's results in one file: what is in it, that it is read as the folder is, and what is refused."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.findings import BCE, LCE, REACHED, write_study
from helpers.study_folder import write_job, write_unfinished_job

from experiments.common.errors import ExperimentError
from experiments.job_files.archive import as_given, keep_study, place_of, study_folder
from experiments.job_files.history import write_history

RESULTS = Path("sweeps/results")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The study ``outputs/losses`` in the working directory: two finished jobs, a table, texts of answers."""
    monkeypatch.chdir(tmp_path)
    return write_study(Path("outputs/losses"))


def content(archive: Path) -> dict[str, str]:
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name).decode() for name in file.namelist()}


def repacked(archive: Path, change: Callable[[dict[str, str]], Any]) -> Path:
    """The archive with changed files."""
    files = content(archive)
    change(files)
    with zipfile.ZipFile(archive, "w") as file:
        for name, text in files.items():
            file.writestr(name, text)
    return archive


def test_it_holds_the_files_that_a_report_reads_and_no_others(study: Path):
    write_history(study / LCE / "history.tsv", [{"step": 1, "loss": 0.5}])
    (study / LCE / "train.log").write_text("a log")
    (study / LCE / "run.bm25.trec.gz").write_bytes(b"a run")
    of_job = ("config.yaml", "metrics.json", "per_query.bm25.tsv", "status.json")
    names = {
        "archive.json",
        "table.yaml",
        f"{LCE}/history.tsv",
        *(f"{job}/{name}" for job in (BCE, LCE) for name in of_job),
    }
    kept = keep_study(study, RESULTS)
    assert kept.path == RESULTS / "losses.zip"
    assert set(content(kept.path)) == names
    kept = keep_study(study, RESULTS, runs=True)
    with zipfile.ZipFile(kept.path) as archive:
        assert set(archive.namelist()) == {*names, f"{LCE}/run.bm25.trec.gz"}
        assert archive.read(f"{LCE}/run.bm25.trec.gz") == b"a run"


def test_the_same_study_gives_the_same_bytes(study: Path):
    first = keep_study(study, RESULTS).path.read_bytes()
    (study / LCE / "metrics.json").touch()
    assert keep_study(study, Path("elsewhere")).path.read_bytes() == first


def test_values_by_query_are_kept_in_full_and_histories_with_four_digits(study: Path):
    write_history(study / LCE / "history.tsv", [{"step": 12345, "loss": 0.693147, "dev": 1 / 3}])
    files = content(keep_study(study, RESULTS).path)
    assert files[f"{LCE}/per_query.bm25.tsv"] == (study / LCE / "per_query.bm25.tsv").read_text()
    assert files[f"{LCE}/history.tsv"].splitlines()[1].split("\t")[:7] == ["12345", "", "", "", "", "", "0.6931"]
    assert files[f"{LCE}/history.tsv"].splitlines()[1].endswith("\t0.3333")


def test_jobs_that_have_not_finished_are_left_out_and_named(study: Path):
    write_unfinished_job(study, "lce-n1", "failed", "no space left")
    kept = keep_study(study, RESULTS)
    assert (kept.jobs, kept.left_out) == ((BCE, LCE), {"lce-n1": "failed"})
    assert json.loads(content(kept.path)["archive.json"]) == {
        "version": 1,
        "folder": "outputs/losses",
        "left_out": {"lce-n1": "failed"},
    }
    assert not any(name.startswith("lce-n1/") for name in content(kept.path))


def test_a_study_without_a_finished_job_is_not_kept(tmp_path: Path):
    write_unfinished_job(tmp_path / "a", "lce", "running")
    with pytest.raises(ExperimentError, match=r"no job in .*/a has finished: there is nothing to keep"):
        keep_study(tmp_path / "a", tmp_path)


def test_no_absolute_path_is_kept(study: Path, tmp_path: Path):
    inside, outside = str(tmp_path / "data" / "mine"), "/srv/weights/bert"
    config = {"data": {"path": inside}, "backbone": {"path": outside}, "cache": "/srv/cache", "outputs": "/srv/outputs"}
    job = write_job(study, "lce-n1-bm25-s1-cccccccc", REACHED[LCE], labels={"negatives": 1}, config=config)
    launched = {"overrides": {"hydra": ["hydra.mode=MULTIRUN"], "task": [f"data.path={inside},{outside}", "loss=lce"]}}
    (study / "multirun.yaml").write_text(yaml.safe_dump({"hydra": {**launched, "runtime": {"cwd": str(tmp_path)}}}))
    files = content(keep_study(study, RESULTS).path)
    assert not [name for name, text in files.items() if "/srv" in text or str(tmp_path) in text]
    kept = yaml.safe_load(files[f"{job.name}/config.yaml"])
    assert (kept["data"]["path"], kept["cache"], kept["outputs"]) == ("data/mine", ".cache", "outputs")
    assert kept["backbone"]["path"].startswith("elsewhere/")
    assert kept["backbone"]["path"].endswith("/bert")
    task = yaml.safe_load(files["multirun.yaml"])["hydra"]["overrides"]["task"]
    assert task == [f"data.path=data/mine,{kept['backbone']['path']}", "loss=lce"]


def test_the_folder_of_an_archive_has_the_study_s_name_and_messages_name_the_archive(study: Path):
    archive = keep_study(study, RESULTS).path
    folder = study_folder(archive)
    assert (folder.name, folder.is_dir(), place_of(folder)) == ("losses", True, archive)
    assert study_folder(archive) == folder, "unpacked once"
    assert as_given(f"{folder / LCE}/metrics.json is odd") == f"sweeps/results/losses.zip/{LCE}/metrics.json is odd"
    assert (study_folder(study), place_of(study)) == (study, study)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda archive: archive.unlink(), "there is no file sweeps/results/losses.zip"),
        (lambda archive: archive.write_bytes(b"PK no zip"), "losses.zip is damaged or no zip file"),
        (lambda archive: archive.write_bytes(archive.read_bytes()[:-40]), "losses.zip is damaged or no zip file"),
        (lambda archive: repacked(archive, lambda files: files.pop("archive.json")), "is no archive of a study"),
        (lambda archive: repacked(archive, lambda files: files.update({"../x": ""})), "it has a file '../x'"),
        (
            lambda archive: repacked(archive, lambda files: files.update({"archive.json": '{"version": 2}'})),
            "is of version 2 of the archives, and this package reads version 1",
        ),
    ],
    ids=["missing", "no zip", "cut off", "no manifest", "way out", "version"],
)
def test_what_is_no_whole_archive_is_refused_in_a_line(study: Path, spoil: Callable[[Path], Any], message: str):
    archive = keep_study(study, RESULTS).path
    spoil(archive)
    with pytest.raises(ExperimentError) as error:
        study_folder(archive)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_damaged_file_within_an_archive_is_found(study: Path):
    archive = repacked(keep_study(study, RESULTS).path, lambda files: None)  # its files as they are, not compressed
    archive.write_bytes(archive.read_bytes().replace(b"first_stage:RR@10", b"first_stage:RR@11"))
    with pytest.raises(ExperimentError, match=r"losses\.zip is damaged or no zip file \(Bad CRC-32 for file"):
        study_folder(archive)
