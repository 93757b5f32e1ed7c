"""One W&B run per job: what it records, how it ends, and what happens without an account or a server.

Every assertion is made on the records that W&B itself wrote to disk, read back with `wandb leet inspect`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.wandb_records import UNREACHABLE, WELL_FORMED_KEY, isolated_wandb, read_offline_runs
from helpers.wandb_server import refusing_server
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.data import DataLoader

from experiments.callbacks.wandb_logger import StudyWandbLogger
from experiments.common.errors import ExperimentError
from experiments.tracking.wandb_job import NoTracking, RunIdentity, WandbJob
from experiments.tracking.wandb_records import log_of
from experiments.tracking.wandb_run import artifact_name

LCE = RunIdentity(
    study="negatives",
    name="lce-n7-bm25-s1-1a2b3c4d",
    id="1a2b3c4d",
    tags=("loss=lce", "negatives=7", "source=bm25", "seed=1"),
    config={"loss": "lce", "negatives": {"count": 7, "source": "bm25", "window": [1, 100]}, "seed": 1, "probe": None},
)
BCE = replace(LCE, name="bce-n7-bm25-s1-5e6f7a8b", id="5e6f7a8b", tags=("loss=bce",), config={"loss": "bce"})
STOPPED = replace(LCE, name="stopped", id="0badcafe")
RESUMED = replace(LCE, config={**LCE.config, "resumed": True})
RUN_LINE = "q1 Q0 p1 1 2.0 bm25\n"


class TinyModule(LightningModule):
    """One weight, fitted to zero, that logs two metrics: the loss at each step and RR@10 at each validation."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch: torch.Tensor) -> torch.Tensor:
        loss = (self.weight * batch).square().mean()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: torch.Tensor) -> None:
        self.log("val/RR@10", 0.5)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(logger: Any) -> Trainer:
    """Train for four steps, validating after the second and the fourth."""
    batches: DataLoader[torch.Tensor] = DataLoader([torch.ones(1)] * 4)  # type: ignore[arg-type]  # a list is a dataset
    trainer = Trainer(
        max_steps=4,
        val_check_interval=2,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        logger=logger,
        accelerator="cpu",
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(TinyModule(), batches, batches)
    return trainer


def run_job(
    identity: RunIdentity, folder: Path, mode: str = "offline", value: float = 0.25, timeout_s: float = 15.0
) -> None:
    """A job that only sets one headline value."""
    with WandbJob(identity, folder, mode=mode, timeout_s=timeout_s) as job:
        job.log_summary({"RR@10": value})


def break_job(identity: RunIdentity, folder: Path, error: BaseException) -> None:
    """A job that logs one loss and then comes to grief."""
    logger = StudyWandbLogger(identity, folder, mode="offline")
    with logger.tracking:
        logger.log_metrics({"train/loss": 9.0}, step=1)
        raise error


def log_everything(folder: Path) -> None:
    run_file = folder / "bm25.trec"
    run_file.write_text(RUN_LINE)
    logger = StudyWandbLogger(LCE, folder, mode="offline")
    with logger.tracking as job:
        fit(logger)
        job.log_summary({"RR@10": 0.54, "bm25/RR@10": 0.44, "queries": 300, "status": "finished"})
        job.log_table("per_query", ["query", "RR@10"], [("q1", 1.0), ("q2", None)])
        job.log_run_file("bm25", run_file)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The records of four jobs in one process: one complete, one failed, one interrupted, and the first resumed."""
    folder = tmp_path_factory.mktemp("study")
    with isolated_wandb(tmp_path_factory.mktemp("home")):
        log_everything(folder)
        with pytest.raises(RuntimeError, match="out of memory"):
            break_job(BCE, folder, RuntimeError("out of memory"))
        with pytest.raises(KeyboardInterrupt):
            break_job(STOPPED, folder, KeyboardInterrupt())
        run_job(RESUMED, folder)
    return read_offline_runs(folder)


@pytest.fixture(scope="module")
def complete(study: list[dict[str, Any]]) -> dict[str, Any]:
    return study[0]


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("experiments.tracking")]


def test_reading_a_record_leaves_nothing_in_the_folder_of_the_reader(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with isolated_wandb(tmp_path_factory.mktemp("home")):
        run_job(LCE, tmp_path)
    (record,) = (tmp_path / "wandb").glob("offline-run-*")
    here = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(here)
    assert any(kind == "run" for kind, _ in log_of(Path(os.path.relpath(record))))
    assert list(here.iterdir()) == []


class TestRecord:
    def test_four_jobs_in_one_process_are_four_runs_in_order(self, study: list[dict[str, Any]]) -> None:
        assert [run["name"] for run in study] == [LCE.name, BCE.name, STOPPED.name, RESUMED.name]

    def test_study_is_the_group_and_the_stage_the_job_type(self, complete: dict[str, Any]) -> None:
        assert (complete["group"], complete["job_type"]) == ("negatives", "train")

    def test_default_project(self, complete: dict[str, Any]) -> None:
        assert complete["project"] == "rerank-ablations"

    def test_axes_are_the_tags(self, complete: dict[str, Any]) -> None:
        assert complete["tags"] == ["loss=lce", "negatives=7", "source=bm25", "seed=1"]

    def test_each_run_has_its_own_jobs_config_and_nothing_else(self, study: list[dict[str, Any]]) -> None:
        assert [run["config"] for run in study] == [LCE.config, BCE.config, STOPPED.config, RESUMED.config]

    def test_history_has_the_metrics_of_every_step_of_a_fit(self, complete: dict[str, Any]) -> None:
        steps = {
            metric: [row["trainer/global_step"] for row in complete["history"] if metric in row]
            for metric in ("train/loss", "val/RR@10")
        }
        assert steps == {"train/loss": [0, 1, 2, 3], "val/RR@10": [1, 3]}

    def test_every_curve_has_the_trainers_step_on_its_x_axis(self, complete: dict[str, Any]) -> None:
        assert complete["x_axes"] == {"*": "trainer/global_step"}

    def test_metrics_of_a_later_job_do_not_land_in_an_earlier_run(self, study: list[dict[str, Any]]) -> None:
        assert [[row["train/loss"] for row in run["history"]] for run in study[1:]] == [[9.0], [9.0], []]

    def test_headline_values_are_plain_summary_keys(self, complete: dict[str, Any]) -> None:
        headline = {key: complete["summary"].get(key) for key in ("RR@10", "bm25/RR@10", "queries", "status")}
        assert headline == {"RR@10": 0.54, "bm25/RR@10": 0.44, "queries": 300, "status": "finished"}

    def test_table_has_its_columns_and_rows(self, complete: dict[str, Any]) -> None:
        assert complete["tables"] == {"per_query": {"columns": ["query", "RR@10"], "data": [["q1", 1.0], ["q2", None]]}}

    def test_run_file_is_an_artifact_of_type_run(self, complete: dict[str, Any]) -> None:
        runs = [artifact for artifact in complete["artifacts"] if artifact["type"] == "run"]
        assert runs == [{"name": "run-bm25-1a2b3c4d", "type": "run", "files": ["bm25.trec"]}]

    def test_exit_code_is_zero_on_success_and_one_after_an_error_or_an_interrupt(
        self, study: list[dict[str, Any]]
    ) -> None:
        assert [run["exit_code"] for run in study] == [0, 1, 1, 0]

    def test_summary_says_in_one_line_why_a_job_failed(self, study: list[dict[str, Any]]) -> None:
        assert [run["summary"]["error"] for run in study] == [None, "RuntimeError: out of memory", "interrupted", None]

    def test_resumed_job_has_the_same_id(self, study: list[dict[str, Any]]) -> None:
        assert [run["id"] for run in study] == [LCE.id, BCE.id, STOPPED.id, LCE.id]


@pytest.mark.usefixtures("no_account")
class TestJob:
    def test_prints_nothing(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        run_job(LCE, tmp_path)
        assert capfd.readouterr() == ("", "")

    def test_tag_longer_than_wandb_takes_is_cut(self, tmp_path: Path) -> None:
        run_job(replace(LCE, tags=("data=" + "x" * 100,)), tmp_path)
        assert read_offline_runs(tmp_path)[0]["tags"] == ["data=" + "x" * 59]

    def test_group_tags_and_notes_of_the_config(self, tmp_path: Path) -> None:
        logger = StudyWandbLogger(LCE, tmp_path, mode="offline", group="mine", tags=["draft"], notes="why")
        with logger.tracking as job:
            assert isinstance(job, WandbJob)
            assert (job.run.group, job.run.notes) == ("mine", "why")
        (run,) = read_offline_runs(tmp_path)
        assert run["group"] == "mine"
        assert run["tags"] == [*LCE.tags, "draft"]

    def test_long_names_of_artifacts_are_cut_and_stay_two(self) -> None:
        first, second = artifact_name("run-" + "a" * 200 + "1"), artifact_name("run-" + "a" * 200 + "2")
        assert first[:119] == second[:119] == "run-" + "a" * 115
        assert len(first) == len(second) == 128
        assert first != second
        assert artifact_name("a" * 128) == "a" * 128

    def test_first_stage_with_a_slash_still_names_an_artifact(self, tmp_path: Path) -> None:
        run_file = tmp_path / "dense.trec"
        run_file.write_text(RUN_LINE)
        with WandbJob(LCE, tmp_path, mode="offline") as job:
            job.log_run_file("castorini/tct", run_file)
        assert [artifact["name"] for artifact in read_offline_runs(tmp_path)[0]["artifacts"]] == [
            "run-castorini-tct-1a2b3c4d"
        ]

    def test_missing_run_file_is_named(self, tmp_path: Path) -> None:
        with (
            pytest.raises(ExperimentError, match=r"nowhere\.trec: no such run file"),
            WandbJob(LCE, tmp_path, mode="offline") as job,
        ):
            job.log_run_file("bm25", tmp_path / "nowhere.trec")

    def test_project_that_wandb_does_not_take_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ExperimentError, match="project 'my/project'"):
            WandbJob(LCE, tmp_path, mode="offline", project="my/project").__enter__()

    def test_disabled_writes_no_record(self, tmp_path: Path) -> None:
        run_file = tmp_path / "bm25.trec"
        run_file.write_text(RUN_LINE)
        logger = StudyWandbLogger(LCE, tmp_path, mode="disabled")
        with logger.tracking as job:
            logger.log_metrics({"train/loss": 9.0}, step=1)
            job.log_summary({"RR@10": 0.25})
            job.log_table("per_query", ["query"], [("q1",)])
            job.log_run_file("bm25", run_file)
        assert read_offline_runs(tmp_path) == []

    def test_other_ranks_open_no_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rank_zero_only, "rank", 1)
        logger = StudyWandbLogger(LCE, tmp_path, mode="offline")
        with logger.tracking as job:
            logger.log_metrics({"train/loss": 9.0}, step=1)
            job.log_summary({"RR@10": 0.25})
            job.log_table("per_query", ["query"], [("q1",)])
            job.log_run_file("bm25", tmp_path / "written by rank zero.trec")
        assert list(tmp_path.glob("wandb*")) == []


class TestNoServer:
    """Work goes on offline, and one line over all the jobs of a process says so."""

    @pytest.mark.parametrize(
        ("mode", "environment", "reason"),
        [
            pytest.param("online", {}, "not logged in", id="no login"),
            pytest.param("auto", {"WANDB_API_KEY": "short"}, "40", id="malformed key"),
            pytest.param("auto", {"WANDB_API_KEY": WELL_FORMED_KEY}, UNREACHABLE, id="no network"),
        ],
    )
    def test_two_jobs_go_on_offline_with_one_warning(
        self,
        mode: str,
        environment: dict[str, str],
        reason: str,
        home: Path,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with isolated_wandb(home, WANDB_BASE_URL=UNREACHABLE, **environment):
            run_job(LCE, tmp_path, mode, value=0.1, timeout_s=4.0)
            run_job(BCE, tmp_path, mode, value=0.2, timeout_s=4.0)
        runs = read_offline_runs(tmp_path)
        assert [(run["id"], run["summary"]["RR@10"], run["exit_code"]) for run in runs] == [
            (LCE.id, 0.1, 0),
            (BCE.id, 0.2, 0),
        ]
        (warning,) = warnings_of(caplog)
        assert "stays offline" in warning
        assert reason in warning

    def test_server_that_refuses_the_run_leaves_it_offline_under_its_id(
        self, home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with refusing_server() as url, isolated_wandb(home, WANDB_BASE_URL=url, WANDB_API_KEY=WELL_FORMED_KEY):
            run_job(LCE, tmp_path, "online", value=0.1)
            run_job(BCE, tmp_path, "online", value=0.2)
        assert [run["id"] for run in read_offline_runs(tmp_path)] == [LCE.id, BCE.id]
        (warning,) = warnings_of(caplog)
        assert "permission denied" in warning


class TestNoTracking:
    def test_takes_everything_and_writes_nothing(self, tmp_path: Path) -> None:
        with NoTracking() as job:
            job.log_summary({"RR@10": 0.25})
            job.log_table("per_query", ["query"], [("q1",)])
            job.log_run_file("bm25", tmp_path / "bm25.trec")
        assert list(tmp_path.iterdir()) == []

    def test_errors_pass_through(self) -> None:
        with pytest.raises(RuntimeError, match="out of memory"), NoTracking():
            raise RuntimeError("out of memory")
