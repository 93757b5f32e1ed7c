"""What jobs cost, from configs and from folders written by hand."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.jobs import composed
from helpers.tiny import LiteralSource

from experiments.common.cache import Cache
from experiments.config import Experiment, compose
from experiments.data.collection import open_collection
from experiments.studies.cost_estimate import (
    Cost,
    Queries,
    Rates,
    Setting,
    cost_of,
    data_key,
    device_of,
    groups_of,
    queries_of,
    rates_in,
    setting_of,
)

CPU = Setting("bert-tiny", "cross_encoder", 128, "cpu", 1, "")
DATA = {"source": {"_target_": "here"}, "queries": {"train": None, "dev": 50, "test": 10}, "carve_dev": 200}


def experiment(*overrides: str) -> Experiment:
    return compose.check(composed(*overrides), parts=False)


@pytest.mark.parametrize(
    ("overrides", "groups"),
    [
        (["budget.size=1000", "batch.size=16"], 1024),  # 62.5 steps -> 63 -> 64, a multiple of 4 validations
        (["budget.size=1024", "batch.size=16"], 1024),
        (["budget=pairs", "budget.size=8192", "batch.unit=pairs", "batch.size=16", "negatives.count=7"], 1024),
        (["budget=pairs", "budget.size=100", "batch.size=2", "negatives.count=3"], 32),  # 12.5 steps -> 13 -> 16
    ],
)
def test_groups_are_those_of_whole_steps_between_validations(overrides: list[str], groups: int):
    assert groups_of(experiment("validation.times=4", *overrides)) == groups


def test_a_budget_in_tokens_has_no_groups_before_the_texts_are_cut():
    found = cost_of(experiment("budget=tokens", "budget.size=5000"), Queries(10, 10))
    assert (found.groups, found.pairs, found.tokens) == (None, None, 5000)


def test_pairs_are_trained_on_and_scored():
    one = experiment(
        "budget.size=64", "batch.size=16", "validation.times=2", "validation.depth=5", "negatives.count=7",
        "retriever=[bm25,colbert]", "first_stage=[bm25,colbert]", "first_stage_depth=20",
    )  # fmt: skip
    assert cost_of(one, Queries(dev=3, test=4)) == Cost(64, 512, 4 * 20 * 2 + 3 * 5 * 2)
    assert cost_of(one, Queries(dev=3, test=None)).scored is None


def test_queries_are_counted_in_a_collection_that_is_there_and_nothing_is_built(tmp_path: Path):
    asked = [(f"q{i}", f"query {i}") for i in range(6)]
    judged = {
        split: [(f"q{i}", "p0", 1) for i in rows]
        for split, rows in {"train": [0], "dev": [1, 2], "test": [3, 4, 5]}.items()
    }
    source = LiteralSource([("p0", "passage")], asked, judged)
    one = experiment(f"cache={tmp_path}", "data.queries.dev=100", "data.queries.test=2")
    assert queries_of(one, source) == Queries(dev=100, test=2), "the limits"
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".arrow"]
    open_collection(source, Cache(tmp_path))
    assert queries_of(one, source) == Queries(dev=2, test=2)


def test_the_speed_of_a_job_that_scores_windows_says_nothing_of_another():
    one, best, narrow = (
        setting_of(experiment(*changes), "cpu", 1, {})
        for changes in ([], ["model.document=max_p"], ["model.document=max_p", "model.window=50"])
    )
    assert (one.document, best.document, narrow.document) == ("", "max_p None None None", "max_p 50 None None")


def test_time_is_linear_in_what_is_trained_on_and_what_is_scored():
    rates = Rates(training=50, rest=200, flops=1e6, tokens=20, jobs=3)
    assert rates.seconds(Cost(100, 1000, 4000)) == 20 + 20
    assert rates.seconds(Cost(None, None, 4000, tokens=10_000)) == 10 + 20
    assert rates.seconds(Cost(100, 1000, None)) is None


def write(outputs: Path, name: str, *, config: dict[str, Any] | None = None, **compute: Any) -> None:
    """A finished job: 1000 pairs trained on in 20 s, 500 scored (4 x 50 dev, 300 test) in the 10 s besides."""
    folder = outputs / "study" / name
    folder.mkdir(parents=True)
    spent = {"pairs": 1000, "train_seconds": 20.0, "seconds": 30.0, "flops": 5e9, "tokens": 40_000}
    spent |= {"device": "cpu", "threads": 1} | compute
    settings = {
        "model": {"name": "cross_encoder", "max_length": 128},
        "data": DATA,
        "validation": {"times": 4, "depth": 1},
        "probe": {"layers": None},
    }
    metrics = {"labels": {"backbone": "bert-tiny"}, "compute": spent, "test": {"bm25": {"pairs": 300}}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "status.json").write_text(json.dumps({"state": "finished", "attempts": 1}))
    (folder / "config.yaml").write_text(yaml.safe_dump(settings | (config or {})))


def test_rates_are_what_a_finished_job_did(tmp_path: Path):
    write(tmp_path, "one")
    assert rates_in(tmp_path, [CPU], {}) == {CPU: Rates(50.0, 50.0, 5e6, 40.0, 1)}


def test_of_several_jobs_the_median_counts(tmp_path: Path):
    for name, seconds in (("a", 10.0), ("b", 20.0), ("c", 100.0)):
        write(tmp_path, name, train_seconds=seconds, seconds=seconds + 10)
    found = rates_in(tmp_path, [CPU], {})[CPU]
    assert (found.training, found.rest, found.jobs) == (50.0, 50.0, 3)


def test_counted_dev_queries_stand_in_for_the_limit(tmp_path: Path):
    write(tmp_path, "one")
    assert rates_in(tmp_path, [CPU], {data_key(DATA): 25})[CPU].rest == 40.0, "(300 + 4 x 25) / 10 s"


@pytest.mark.parametrize(
    "difference",
    [
        {"device": "cuda:0"},
        {"threads": 2},
        {"config": {"model": {"name": "cross_encoder", "max_length": 256}}},
        {"config": {"model": {"name": "colbert", "max_length": 128}}},
        {"config": {"probe": {"layers": "all"}}},
    ],
    ids=["device", "threads", "max_length", "kind", "probed"],
)
def test_jobs_of_another_setting_say_nothing(tmp_path: Path, difference: dict[str, Any]):
    write(tmp_path, "other", **difference)
    assert rates_in(tmp_path, [CPU], {}) == {}


@pytest.mark.parametrize("status", [{"state": "failed", "attempts": 1}, {"state": "finished", "attempts": 2}])
def test_a_job_that_did_not_run_in_one_go_says_nothing(tmp_path: Path, status: dict[str, Any]):
    write(tmp_path, "one")
    (tmp_path / "study" / "one" / "status.json").write_text(json.dumps(status))
    assert rates_in(tmp_path, [CPU], {}) == {}


def test_a_job_that_cannot_be_read_says_nothing(tmp_path: Path):
    write(tmp_path, "one")
    (tmp_path / "study" / "one" / "config.yaml").write_text("{")
    write(tmp_path, "two")
    assert rates_in(tmp_path, [CPU], {})[CPU].jobs == 1


def test_jobs_that_embed_a_collection_compare_with_those_of_the_same_one_only():
    here, there = {"_target_": "here"}, {"_target_": "there"}
    colbert, cross_encoder = experiment("model=colbert"), experiment()
    assert setting_of(colbert, "cpu", 1, here) != setting_of(colbert, "cpu", 1, there)
    assert setting_of(cross_encoder, "cpu", 1, here) == setting_of(cross_encoder, "cpu", 1, there)


@pytest.mark.parametrize(
    ("accelerator", "there_is_one", "device"),
    [
        ("auto", True, ("cuda", None)),
        ("auto", False, ("cpu", 3)),
        ("cpu", True, ("cpu", 3)),
        ("gpu", False, ("cuda", None)),
    ],
)
def test_the_device_is_the_one_that_the_trainer_would_take(
    monkeypatch: pytest.MonkeyPatch, accelerator: str, there_is_one: bool, device: tuple[str, int | None]
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: there_is_one)
    monkeypatch.setattr("experiments.studies.cost_estimate.version", lambda package: "2.13.0+cu130")
    assert device_of(experiment(f"trainer.accelerator={accelerator}", "compute.threads=3")) == device


def test_a_cpu_build_of_torch_finds_no_gpu_and_need_not_be_imported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # any import of it raises
    monkeypatch.setattr("experiments.studies.cost_estimate.version", lambda package: "2.13.0+cpu")
    assert device_of(experiment("trainer.accelerator=auto", "compute.threads=3")) == ("cpu", 3)
