"""The W&B record of a whole job, read back from disk: all that a dashboard compares runs by."""

import json
from pathlib import Path

import pytest
from helpers.jobs import composed, run, tiny_overrides
from helpers.tiny import write_beir_folder, write_tiny_bert
from helpers.wandb_records import isolated_wandb, read_offline_runs

from experiments.common.errors import ExperimentError
from experiments.config import compose


def overrides_for(tmp_path: Path) -> list[str]:
    data = write_beir_folder(tmp_path / "shapes")
    texts = [json.loads(line)["text"] for name in ("corpus", "queries") for line in (data / f"{name}.jsonl").open()]
    backbone = write_tiny_bert(tmp_path / "bert", texts)
    return tiny_overrides(
        tmp_path, data, backbone, "logger=wandb_offline", "trainer.log_every_n_steps=1", "study=shapes"
    )


def test_the_record_of_a_finished_job_and_of_a_crashed_one(tmp_path: Path):
    overrides = overrides_for(tmp_path)
    with isolated_wandb(tmp_path):
        metrics, folder = run(overrides)
        with pytest.raises(ExperimentError, match="no finite score"):
            run([*overrides, "optimizer.lr=1e30", "optimizer.clip=null", "seed=7"])
        finished, crashed = read_offline_runs(folder.parent)

    assert (finished["group"], finished["job_type"], finished["name"]) == ("shapes", "train", folder.name)
    assert set(finished["tags"]) >= {
        "loss=lce",
        "negatives=3",
        "source=bm25",
        "seed=1",
        "data=shapes",
        "backbone=random-bert",
    }
    assert finished["config"]["negatives"] == compose.plain(composed(*overrides))["negatives"]

    logged = {key for row in finished["history"] for key in row}
    assert logged >= {
        "train/loss", "train/lr", "train/gradient_norm", "train/margin", "train/tokens_per_second", "dev/RR@10",
        "trainer/global_step",
    }  # fmt: skip
    assert len([row for row in finished["history"] if "train/loss" in row]) == 8, "a row a step"
    assert len([row for row in finished["history"] if "dev/RR@10" in row]) == 2

    summary = finished["summary"]
    assert summary["RR@10"] == summary["bm25/RR@10"] == pytest.approx(metrics["test"]["bm25"]["RR@10"])
    assert summary["bm25/first_stage/RR@10"] == pytest.approx(metrics["test"]["bm25"]["first_stage"]["RR@10"])
    assert summary["compute/pairs"] == 128

    table = finished["tables"]["per_query/bm25"]
    assert table["columns"][:3] == ["query", "text", "RR@10"]
    assert len(table["data"]) == 12
    assert {one["type"] for one in finished["artifacts"]} >= {"run"}
    assert finished["exit_code"] == 0

    assert crashed["id"] != finished["id"]
    assert crashed["config"]["seed"] == 7
    assert crashed["exit_code"] != 0
