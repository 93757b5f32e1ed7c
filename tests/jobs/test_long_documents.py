"""A job that scores windows (MaxP): it trains as FirstP does, and everything that measures it reads its windows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.jobs import run, tiny_overrides
from safetensors.numpy import load_file

from experiments.common.cache import Cache
from experiments.data.collection import open_collection
from experiments.data.readers.beir import BeirFolder
from experiments.models.pair_scorer import load_scorer

# Passages have 9 to 12 tokens, titles included; a pair has room for 5 or more of them
SHORT = ("model.max_query_tokens=10", "model.max_length=18", "validation.select=last", "first_stage_depth=[5,10]")
MAX_P = ("model.document=max_p", "model.stride=2", "model.max_windows=3")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("long")


@pytest.fixture(scope="module")
def first_p(place: Path, data: Path, backbone: Path) -> Path:
    return run(tiny_overrides(place, data, backbone, *SHORT))[1]


@pytest.fixture(scope="module")
def max_p(place: Path, data: Path, backbone: Path) -> Path:
    return run(tiny_overrides(place, data, backbone, *SHORT, *MAX_P))[1]


def results_of(folder: Path) -> dict[str, Any]:
    """The measures of the test run, without what is timed."""
    test = json.loads((folder / "metrics.json").read_text())["test"]["bm25"]
    for values in test["depths"].values():
        values.pop("ms_per_query")
    return test


def measured(place: Path, data: Path, backbone: Path, *more: str) -> Path:
    lengths = ("model.max_length=", "model.max_query_tokens=", "validation.")
    kept = [one for one in tiny_overrides(place, data, backbone) if not one.startswith(lengths)]
    return run(["model=checkpoint", *kept, "first_stage_depth=[5,10]", *more])[1]


def test_it_is_the_model_of_first_p(first_p: Path, max_p: Path):
    one, other = (load_file(folder / "model" / "model.safetensors") for folder in (first_p, max_p))
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_every_window_is_counted(first_p: Path, max_p: Path):
    assert "windows" not in results_of(first_p)
    test = results_of(max_p)
    assert test["pairs"] < test["windows"] <= 3 * test["pairs"]
    assert test["depths"]["10"]["windows"] == test["windows"]
    assert test["depths"]["5"]["pairs"] < test["depths"]["5"]["windows"] < test["windows"]
    assert "ms_per_query" in json.loads((max_p / "metrics.json").read_text())["test"]["bm25"]["depths"]["5"]


def test_its_scores_are_those_of_windows(first_p: Path, max_p: Path):
    runs = [(folder / "run.bm25.trec.gz").read_bytes() for folder in (first_p, max_p)]
    assert runs[0] != runs[1]


def test_a_model_that_is_measured_later_reads_the_windows_of_its_job(
    place: Path, data: Path, backbone: Path, max_p: Path
):
    assert results_of(measured(place, data, backbone, f"model.path={max_p}")) == results_of(max_p)


def test_one_model_is_measured_in_both_ways(place: Path, data: Path, backbone: Path, first_p: Path, max_p: Path):
    as_first_p = measured(place, data, backbone, f"model.path={max_p}", "model.document=first_p")
    assert results_of(as_first_p) == results_of(first_p)
    as_max_p = measured(place, data, backbone, f"model.path={first_p}", *MAX_P)
    assert results_of(as_max_p) == results_of(max_p)
    labels = [
        json.loads((job / "metrics.json").read_text())["labels"] for job in (first_p, as_first_p, max_p, as_max_p)
    ]
    windows = "max_p stride=2 max_windows=3"
    assert [label.get("document") for label in labels] == [None, "first_p", windows, windows]


def test_the_export_says_what_sentence_transformers_cannot_do(first_p: Path, max_p: Path):
    lengths = {"max_query_tokens": 10, "max_length": 18}
    config = json.loads((max_p / "model" / "config.json").read_text())
    assert config["rerank_ablations"] == {**lengths, "windows": {"tokens": None, "stride": 2, "most": 3}}
    assert json.loads((first_p / "model" / "config.json").read_text())["rerank_ablations"] == lengths
    said = " ".join((max_p / "model" / "README.md").read_text().split())
    assert "`CrossEncoder` cannot do that: it scores the first tokens alone (FirstP)" in said
    assert "MaxP" not in (first_p / "model" / "README.md").read_text()


def test_a_scorer_of_negatives_reads_the_windows_too(data: Path, tmp_path: Path, first_p: Path, max_p: Path):
    store = Cache(tmp_path)
    collection = open_collection(BeirFolder(str(data)), store)
    pairs = np.zeros(20, np.int64), np.arange(20)
    one, best = (load_scorer(str(folder / "model")).score(collection, *pairs, store) for folder in (first_p, max_p))
    assert (best >= one - 1e-6).all(), "the first window is what FirstP reads"
    assert (best > one + 1e-6).any()


def test_windows_that_do_not_fit_are_one_line(tmp_path: Path, data: Path, backbone: Path):
    from experiments.common.errors import ExperimentError

    with pytest.raises(ExperimentError, match=r"model\.window=9 does not fit into model\.max_length=18"):
        run(tiny_overrides(tmp_path, data, backbone, *SHORT, "model.document=max_p", "model.window=9"))
