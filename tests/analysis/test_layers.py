"""Probed layers as results by setting: what they are labelled with, and what cannot be averaged."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from helpers.study_folder import FIRST_STAGE, write_job

from experiments.analysis.layers import layer_results
from experiments.analysis.load import read_study
from experiments.analysis.settings import ResultGroup, group_results
from experiments.common.errors import ExperimentError

BETTER = {"q1": 1.0, "q2": 0.5, "q3": 1.0, "q4": 0.5}


def groups(study: Path) -> list[ResultGroup]:
    return group_results(read_study(study), "RR@10")


def write_probe(folder: Path, columns: Mapping[str, Mapping[str, float]]) -> None:
    """Probed layers of a finished job: the values of each column by query."""
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["probe"] = {"model": {"settings": {"measures": ["RR@10", "R@100"]}, "cells": []}, "control": None}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    queries = list(next(iter(columns.values())))
    lines = ["\t".join(["query", *columns])]
    lines += ["\t".join([query, *(str(values[query]) for values in columns.values())]) for query in queries]
    (folder / "per_query.probe.tsv").write_text("\n".join(lines) + "\n")


def test_a_layer_is_a_result_over_the_seeds_of_its_setting(tmp_path: Path):
    for seed, value in ((1, 0.25), (2, 0.5)):
        folder = write_job(tmp_path, f"job-{seed}", BETTER, labels={"seed": seed})
        write_probe(folder, {"layer2:mean:bm25": dict.fromkeys(FIRST_STAGE, value)})
    (found,) = layer_results(groups(tmp_path))
    assert {name: found.labels[name] for name in ("loss", "layer", "pooling", "candidates")} == {
        "loss": "lce", "layer": 2, "pooling": "mean", "candidates": "bm25",
    }  # fmt: skip
    assert (found.seeds, found.models, found.measure) == ((1, 2), ("job-1", "job-2"), "RR@10")
    np.testing.assert_array_equal(found.values_SQ, [[0.25] * 4, [0.5] * 4])


def test_a_model_that_re_ranks_two_first_stages_was_probed_once(tmp_path: Path):
    folder = write_job(tmp_path, "a", BETTER, first_stages=("bm25", "colbert"))
    write_probe(folder, {"layer0:mean:whole_collection": BETTER, "layer1:mean:whole_collection": BETTER})
    assert [one.labels["layer"] for one in layer_results(groups(tmp_path))] == [0, 1]


def test_queries_are_aligned_by_their_id(tmp_path: Path):
    for seed, values in ((1, BETTER), (2, dict(reversed(BETTER.items())))):
        folder = write_job(tmp_path, f"job-{seed}", BETTER, labels={"seed": seed})
        write_probe(folder, {"layer2:mean:bm25": values})
    (found,) = layer_results(groups(tmp_path))
    np.testing.assert_array_equal(found.values_SQ[0], found.values_SQ[1])


def test_models_that_were_not_probed_are_left_out(tmp_path: Path):
    write_job(tmp_path, "a", BETTER)
    assert layer_results(groups(tmp_path)) == []


def test_models_probed_on_different_queries_are_an_error_that_names_them(tmp_path: Path):
    for seed, values in ((1, BETTER), (2, {"q1": 1.0, "q9": 0.5})):
        folder = write_job(tmp_path, f"job-{seed}", BETTER, labels={"seed": seed})
        write_probe(folder, {"layer2:mean:bm25": values})
    with pytest.raises(ExperimentError, match="jobs job-1 and job-2 were probed on different queries"):
        layer_results(groups(tmp_path))


def test_a_column_that_is_no_layers_is_an_error_that_names_the_file(tmp_path: Path):
    write_probe(write_job(tmp_path, "a", BETTER), {"last:mean": BETTER})
    with pytest.raises(ExperimentError, match=r"a/per_query.probe.tsv: the column 'last:mean' is not"):
        layer_results(groups(tmp_path))


def test_a_missing_table_is_an_error_that_names_it(tmp_path: Path):
    folder = write_job(tmp_path, "a", BETTER)
    write_probe(folder, {"layer2:mean:bm25": BETTER})
    (folder / "per_query.probe.tsv").unlink()
    with pytest.raises(ExperimentError, match=r"per_query.probe.tsv is missing"):
        layer_results(groups(tmp_path))
