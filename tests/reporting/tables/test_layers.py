"""Probed layers side by side: rows, columns, seeds averaged, the backbone once."""

import json
from pathlib import Path
from typing import Any

from helpers.study_folder import write_job

from experiments.analysis.load import read_study
from experiments.report import summarise
from experiments.reporting.tables.layers import layer_tables

VALUES = {"q1": 0.5, "q2": 1.0, "q3": 0.25, "q4": 0.0}


def probed(study: Path, name: str, loss: str, seed: int, by_layer: list[float], **labels: Any) -> None:
    """A job whose layers have the given RR@10 over the whole collection; the backbone has .3 and .4."""
    labels = {"loss": loss, "seed": seed} | labels
    folder = write_job(study, name, VALUES, labels=labels, config={"loss": {"name": loss}})
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["probe"] = {"model": cells_of(by_layer), "control": cells_of([0.3, 0.4])}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    columns = [f"layer{layer}:mean:whole_collection" for layer in range(len(by_layer))]
    lines = ["\t".join(["query", *columns]), *("\t".join([query, *map(str, by_layer)]) for query in VALUES)]
    (folder / "per_query.probe.tsv").write_text("\n".join(lines) + "\n")


def cells_of(by_layer: list[float]) -> dict:
    cells = [
        {"layer": layer, "pooling": "mean", "candidates": "whole_collection", "mean": {"RR@10": value}}
        for layer, value in enumerate(by_layer)
    ]
    return {"settings": {"measures": ["RR@10"]}, "cells": cells}


def test_a_row_a_training_a_column_a_layer_the_backbone_first(tmp_path: Path):
    study = tmp_path / "layers"
    probed(study, "lce-1", "lce", 1, [0.1, 0.2])
    probed(study, "lce-2", "lce", 2, [0.3, 0.6])
    probed(study, "bce-1", "bce", 1, [0.1, 0.15])
    (matrix,) = layer_tables(read_study(study))
    assert matrix.title == "MRR@10 by layer, whole collection searched, apidocs"
    assert matrix.columns == ("loss", "n", "pooling", "layer 0", "layer 1")
    assert matrix.rows == (
        ("bert-tiny untrained", "", "mean", "0.300", "0.400"),
        ("bce", "7", "mean", "0.100", "0.150"),
        ("lce", "7", "mean", "0.200", "0.400"),
    )


def test_jobs_that_differ_in_anything_else_have_rows_of_their_own(tmp_path: Path):
    study = tmp_path / "layers"
    probed(study, "tiny", "lce", 1, [0.1, 0.2])
    probed(study, "minilm", "lce", 1, [0.3, 0.6, 0.5], backbone="minilm-l6")
    (matrix,) = layer_tables(read_study(study))
    assert matrix.columns == ("loss", "n", "backbone", "pooling", "layer 0", "layer 1", "layer 2")
    assert matrix.rows[-2:] == (
        ("lce", "7", "bert-tiny", "mean", "0.100", "0.200", "-"),
        ("lce", "7", "minilm-l6", "mean", "0.300", "0.600", "0.500"),
    )


def test_jobs_without_a_probe_make_no_matrix(tmp_path: Path):
    write_job(tmp_path / "study", "lce", VALUES)
    assert layer_tables(read_study(tmp_path / "study")) == []


def test_the_report_shows_and_keeps_it(tmp_path: Path, capsys):
    probed(tmp_path / "layers", "lce-1", "lce", 1, [0.1, 0.2])
    summarise(tmp_path / "layers", track=False)
    assert "MRR@10 by layer" in capsys.readouterr().out
    assert "| lce | 7 | mean | 0.100 | 0.200 |" in (tmp_path / "layers" / "table.md").read_text()
