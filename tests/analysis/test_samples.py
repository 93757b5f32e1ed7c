"""The cells of a study as samples: what they are labelled with, and which of them a description means."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.study_folder import FIRST_STAGE, write_job

from experiments.analysis.samples import Sample, layer_samples, matches, matching, number_of, samples_of
from experiments.analysis.settings import Block, blocks_of
from experiments.common.errors import ExperimentError
from experiments.job_files.records import read_study

BETTER = {"q1": 1.0, "q2": 0.5, "q3": 1.0, "q4": 0.5}


def blocks(study: Path) -> list[Block]:
    return blocks_of(read_study(study), "RR@10")


def write_probe(folder: Path, columns: Mapping[str, Mapping[str, float]]) -> None:
    """Probed layers of a finished job: the values of each column by query."""
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["probe"] = {"model": {"settings": {"measures": ["RR@10", "R@100"]}, "cells": []}, "control": None}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    queries = list(next(iter(columns.values())))
    lines = ["\t".join(["query", *columns])]
    lines += ["\t".join([query, *(str(values[query]) for values in columns.values())]) for query in queries]
    (folder / "per_query.probe.tsv").write_text("\n".join(lines) + "\n")


def sample(**labels: Any) -> Sample:
    return Sample(labels, (1,), np.zeros((1, 2)), ("q1", "q2"), "RR@10", ("job",))


class TestSamplesOf:
    def test_a_cell_is_a_sample_with_its_labels_and_the_first_stage(self, tmp_path: Path):
        write_job(tmp_path, "b", BETTER, labels={"seed": 2})
        write_job(tmp_path, "a", FIRST_STAGE, labels={"seed": 1})
        (found,) = samples_of(blocks(tmp_path))
        assert found.labels == {
            "loss": "lce", "negatives": 7, "source": "bm25", "data": "apidocs", "backbone": "bert-tiny",
            "first_stage": "bm25",
        }  # fmt: skip
        assert (found.seeds, found.jobs, found.measure) == ((1, 2), ("a", "b"), "RR@10")
        assert found.query_ids == ("q1", "q2", "q3", "q4")
        np.testing.assert_array_equal(found.values_SQ, [[0.5, 0.25, 1.0, 0.0], [1.0, 0.5, 1.0, 0.5]])

    def test_a_config_key_in_which_cells_differ_is_a_label(self, tmp_path: Path):
        for name, rate in (("a", 1e-4), ("b", 2e-4)):
            write_job(tmp_path, name, BETTER, config={"optimizer": {"lr": rate}})
        assert [one.labels["optimizer.lr"] for one in samples_of(blocks(tmp_path))] == [1e-4, 2e-4]

    def test_a_model_is_a_sample_on_each_first_stage(self, tmp_path: Path):
        write_job(tmp_path, "a", BETTER, first_stages=("bm25", "colbert"))
        assert [one.labels["first_stage"] for one in samples_of(blocks(tmp_path))] == ["bm25", "colbert"]


class TestLayerSamples:
    def test_a_layer_is_a_sample_over_the_seeds_of_its_setting(self, tmp_path: Path):
        for seed, value in ((1, 0.25), (2, 0.5)):
            folder = write_job(tmp_path, f"job-{seed}", BETTER, labels={"seed": seed})
            write_probe(folder, {"layer2:mean:bm25": dict.fromkeys(FIRST_STAGE, value)})
        (found,) = layer_samples(blocks(tmp_path))
        assert {name: found.labels[name] for name in ("loss", "layer", "pooling", "candidates")} == {
            "loss": "lce", "layer": 2, "pooling": "mean", "candidates": "bm25",
        }  # fmt: skip
        assert (found.seeds, found.jobs, found.measure) == ((1, 2), ("job-1", "job-2"), "RR@10")
        np.testing.assert_array_equal(found.values_SQ, [[0.25] * 4, [0.5] * 4])

    def test_a_model_that_re_ranks_two_first_stages_was_probed_once(self, tmp_path: Path):
        folder = write_job(tmp_path, "a", BETTER, first_stages=("bm25", "colbert"))
        write_probe(folder, {"layer0:mean:whole_collection": BETTER, "layer1:mean:whole_collection": BETTER})
        assert [one.labels["layer"] for one in layer_samples(blocks(tmp_path))] == [0, 1]

    def test_queries_are_aligned_by_their_id(self, tmp_path: Path):
        for seed, values in ((1, BETTER), (2, dict(reversed(BETTER.items())))):
            folder = write_job(tmp_path, f"job-{seed}", BETTER, labels={"seed": seed})
            write_probe(folder, {"layer2:mean:bm25": values})
        (found,) = layer_samples(blocks(tmp_path))
        np.testing.assert_array_equal(found.values_SQ[0], found.values_SQ[1])

    def test_models_that_were_not_probed_are_left_out(self, tmp_path: Path):
        write_job(tmp_path, "a", BETTER)
        assert layer_samples(blocks(tmp_path)) == []

    def test_models_probed_on_different_queries_are_an_error_that_names_them(self, tmp_path: Path):
        for seed, values in ((1, BETTER), (2, {"q1": 1.0, "q9": 0.5})):
            folder = write_job(tmp_path, f"job-{seed}", BETTER, labels={"seed": seed})
            write_probe(folder, {"layer2:mean:bm25": values})
        with pytest.raises(ExperimentError, match="jobs job-1 and job-2 were probed on different queries"):
            layer_samples(blocks(tmp_path))

    def test_a_column_that_is_no_layers_is_an_error_that_names_the_file(self, tmp_path: Path):
        write_probe(write_job(tmp_path, "a", BETTER), {"last:mean": BETTER})
        with pytest.raises(ExperimentError, match=r"a/per_query.probe.tsv: the column 'last:mean' is not"):
            layer_samples(blocks(tmp_path))

    def test_a_missing_table_is_an_error_that_names_it(self, tmp_path: Path):
        folder = write_job(tmp_path, "a", BETTER)
        write_probe(folder, {"layer2:mean:bm25": BETTER})
        (folder / "per_query.probe.tsv").unlink()
        with pytest.raises(ExperimentError, match=r"per_query.probe.tsv is missing"):
            layer_samples(blocks(tmp_path))


class TestMatching:
    def test_finds_the_samples_with_all_values(self):
        samples = [sample(loss="lce", negatives=7), sample(loss="lce", negatives=3), sample(loss="bce", negatives=7)]
        assert matching(samples, {"loss": "lce", "negatives": 7}, {}) == samples[:1]

    def test_everything_matches_nothing_in_particular(self):
        samples = [sample(loss="lce"), sample(loss="bce")]
        assert matching(samples, {}, {}) == samples

    @pytest.mark.parametrize("wanted", [7, 7.0, "7"])
    def test_numbers_are_equal_as_numbers(self, wanted: object):
        assert matches({"negatives": 7}, {"negatives": wanted}, {})

    def test_a_number_is_not_equal_to_another(self):
        assert not matches({"negatives": 7}, {"negatives": 31}, {})

    def test_a_list_names_several_values(self):
        assert matches({"negatives": 7}, {"negatives": [1, 7]}, {})
        assert not matches({"negatives": 3}, {"negatives": [1, 7]}, {})

    def test_a_stand_in_counts_as_what_it_stands_for_and_as_itself(self):
        stand_ins = {"colbert": "tct_colbert"}
        assert matches({"source": "colbert"}, {"source": "tct_colbert"}, stand_ins)
        assert matches({"source": "colbert"}, {"source": "colbert"}, stand_ins)
        assert not matches({"source": "tct_colbert"}, {"source": "colbert"}, stand_ins)

    def test_a_stand_in_counts_within_a_mixture(self):
        assert matches({"source": "bm25+colbert"}, {"source": "bm25+tct_colbert"}, {"colbert": "tct_colbert"})

    def test_null_means_that_there_is_no_such_label(self):
        assert matches({"loss": "lce"}, {"gold": None}, {})
        assert not matches({"gold": "injected"}, {"gold": None}, {})
        assert len(matching([sample(loss="lce")], {"gold": None}, {})) == 1

    def test_a_label_that_no_sample_has_is_an_error_that_names_the_labels(self):
        complaint = r"no finished cell has the label 'sauce': the labels are loss, source"
        with pytest.raises(ExperimentError, match=complaint):
            matching([sample(loss="lce", source="bm25")], {"sauce": "bm25"}, {})

    def test_of_no_samples_none_match(self):
        assert matching([], {"loss": "lce"}, {}) == []


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7.0),
        ("2,000 groups", 2000.0),
        ("1e-4", 1e-4),
        ("0.5", 0.5),
        ("all", None),
        ("10k", None),
        (True, None),
        (None, None),
    ],
)
def test_a_label_begins_with_its_number(value: object, number: float | None):
    assert number_of(value) == number
