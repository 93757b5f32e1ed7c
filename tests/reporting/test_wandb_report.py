"""The W&B run of a whole study, read back from W&B's own records."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.study_folder import write_job, write_unfinished_job
from helpers.wandb_records import isolated_wandb, read_offline_runs

from experiments.analysis.findings import Findings, findings_of
from experiments.common.cache import fingerprint
from experiments.reporting.wandb_report import Destination, destination_of, log_report, varying

LOGGED = {"logger": {"mode": "offline", "project": "rankers", "entity": None}}
TABLE = {
    "title": "Losses",
    "source": "nobody, nowhere",
    "mark": "primary",
    "data": "apidocs",
    "tolerance": 0.1,
    "published": [{"loss": "lce", "first_stage": "bm25", "value": 0.8}],
    "claims": [{"says": "LCE beats BCE", "kind": "beats", "better": {"loss": "lce"}, "worse": {"loss": "bce"}}],
}
LCE = {"q1": 1.0, "q2": 0.75, "q3": 1.0, "q4": 0.5}  # mean 0.8125
BCE = {"q1": 0.5, "q2": 0.25, "q3": 1.0, "q4": 0.25}  # mean 0.5


def write_study(folder: Path, mode: str = "offline") -> Findings:
    """Two losses, two seeds each, and a job that failed."""
    settings = {"logger": {**LOGGED["logger"], "mode": mode}}
    for loss, values in (("lce", LCE), ("bce", BCE)):
        for seed in (1, 2):
            write_job(folder, f"{loss}-s{seed}", values, labels={"loss": loss, "seed": seed}, config=settings)
    write_unfinished_job(folder, "lce-s3", "failed", "no space left")
    (folder / "table.yaml").write_text(yaml.safe_dump(TABLE))
    return findings_of(folder)


def write_report(folder: Path) -> list[Path]:
    import matplotlib.image
    import numpy as np

    (folder / "table.md").write_text("# Losses\n")
    matplotlib.image.imsave(folder / "rr10.png", np.zeros((2, 2, 3)))
    return [folder / "table.md", folder / "rr10.png"]


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[str | None, list[dict[str, Any]]]:
    """The id of a study's report, and the records of logging it twice."""
    folder = tmp_path_factory.mktemp("outputs") / "losses"
    findings = write_study(folder)
    files = write_report(folder)
    with isolated_wandb(tmp_path_factory.mktemp("home")):
        run_id = log_report(findings, files)
        log_report(findings, files)
    return run_id, read_offline_runs(folder)


@pytest.fixture(scope="module")
def run(logged: tuple[str | None, list[dict[str, Any]]]) -> dict[str, Any]:
    return logged[1][0]


def test_it_is_a_run_of_the_study_beside_its_jobs(run: dict[str, Any]) -> None:
    assert (run["group"], run["job_type"], run["name"], run["project"]) == (
        "losses", "report", "losses-report", "rankers",
    )  # fmt: skip


def test_made_again_it_has_the_same_id_and_wandb_keeps_each_record_until_they_are_synced(
    logged: tuple[str | None, list[dict[str, Any]]],
) -> None:
    run_id, runs = logged
    assert run_id == fingerprint({"study": "losses", "job": "report"})
    assert [one["id"] for one in runs] == [run_id, run_id]


def test_its_config_is_the_studys_table(run: dict[str, Any]) -> None:
    config = run["config"]
    assert (config["title"], config["measure"], config["tolerance"]) == ("Losses", "RR@10", 0.1)
    assert config["published"] == [{"where": {"loss": "lce", "first_stage": "bm25"}, "value": 0.8, "mark": "primary"}]


def test_its_tags_are_the_labels_that_vary(run: dict[str, Any]) -> None:
    assert run["tags"] == ["loss"]


def test_results_have_all_labels_and_figures(run: dict[str, Any]) -> None:
    table = run["tables"]["results"]
    bce, lce = (dict(zip(table["columns"], row, strict=True)) for row in table["data"])
    named = {name: lce[name] for name in ("loss", "negatives", "data", "first_stage", "backbone")}
    assert named == {
        "loss": "lce", "negatives": 7, "data": "apidocs", "first_stage": "bm25", "backbone": "bert-tiny",
    }  # fmt: skip
    assert (lce["mean"], lce["sd"], lce["seeds"], lce["published"], lce["status"]) == (0.8125, 0, 2, 0.8, "within")
    assert lce["low"] < lce["difference"] < lce["high"]
    assert lce["difference"] == pytest.approx(0.8125 - 0.4375)
    assert (bce["mean"], bce["published"], bce["status"]) == (0.5, None, "")


def test_claims_have_their_verdicts(run: dict[str, Any]) -> None:
    (row,) = run["tables"]["claims"]["data"]
    claim = dict(zip(run["tables"]["claims"]["columns"], row, strict=True))
    assert claim["claim"] == "LCE beats BCE"
    assert claim["verdict"] in ("supported", "undecided")
    assert claim["difference"] == pytest.approx(0.3125)


def test_jobs_have_the_ids_of_their_runs_and_failed_ones_say_why(run: dict[str, Any]) -> None:
    assert run["tables"]["jobs"]["data"][-1] == [
        "lce-s3", fingerprint({"study": "losses", "job": "lce-s3"}), "failed", "no space left",
    ]  # fmt: skip


def test_pictures_are_shown_and_all_files_kept_as_one_artifact(run: dict[str, Any]) -> None:
    assert run["summary"]["pictures/rr10._type"] == "image-file"
    kept = [one for one in run["artifacts"] if one["type"] == "report"]
    assert kept == [{"name": "report-losses", "type": "report", "files": ["rr10.png", "table.md"]}]


def test_its_summary_counts_jobs_and_names_the_best_cell(run: dict[str, Any]) -> None:
    summary = run["summary"]
    assert (summary["jobs/finished"], summary["jobs/failed"], summary["cells/missing"]) == (4, 1, 0)
    assert (summary["best/RR@10"], summary["best/cell"]) == (0.8125, "loss lce")


def test_it_is_closed_as_finished(run: dict[str, Any]) -> None:
    assert run["exit_code"] == 0


def test_a_study_whose_jobs_were_not_logged_is_not_logged_either(tmp_path: Path) -> None:
    findings = write_study(tmp_path / "losses", mode="none")
    assert log_report(findings, []) is None
    assert not (tmp_path / "losses" / "wandb").exists()


def test_a_report_can_be_kept_from_wandb_whatever_the_jobs_were(tmp_path: Path) -> None:
    findings = write_study(tmp_path / "losses")
    assert log_report(findings, [], mode="disabled") is None
    assert not (tmp_path / "losses" / "wandb").exists()


def test_it_goes_where_the_first_logged_job_went(tmp_path: Path) -> None:
    write_job(tmp_path, "a", LCE, config={"logger": {"mode": "none", "project": "elsewhere"}})
    write_job(tmp_path, "b", LCE, labels={"seed": 2}, config={"logger": {"mode": "auto", "project": "rankers"}})
    assert destination_of(findings_of(tmp_path).jobs) == Destination("auto", "rankers", None)


def test_what_does_not_vary_is_no_tag(tmp_path: Path) -> None:
    write_job(tmp_path, "a", LCE)
    assert varying(findings_of(tmp_path)) == []
