"""Jobs on lists in run order, and on negatives of the whole collection; losses that lists are refused for."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import composed, run, tiny_overrides

from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.experiment import Experiment
from experiments.jobs.components import check_loss, make_components

LISTS = ["negatives=from_run_order", "negatives.count=9", "negatives.depth=20", "negatives.without_positive=add"]


def experiment_of(*overrides: str) -> Experiment:
    return compose.check(composed("negatives=from_run_order", *overrides))


@pytest.mark.parametrize("loss", ["lce", "bce", "hinge", "ranknet", "gbce", "lambda_loss", "margin_mse"])
def test_a_loss_of_the_positive_at_index_0_is_refused_for_lists(loss: str):
    experiment = experiment_of(f"loss={loss}")
    with pytest.raises(
        ExperimentError,
        match=rf"loss={loss} takes the passage at index 0 .* such as loss=info_nce, or a rule that draws",
    ):
        check_loss(experiment, make_components(experiment).loss)


@pytest.mark.parametrize("loss", ["info_nce", "kl_divergence"])
def test_a_loss_of_labels_or_of_a_teachers_order_is_taken_for_lists(loss: str):
    experiment = experiment_of(f"loss={loss}")
    check_loss(experiment, make_components(experiment).loss)


def test_lists_without_a_positive_teach_a_loss_of_labels_nothing():
    experiment = experiment_of("loss=info_nce", "negatives.without_positive=keep")
    with pytest.raises(ExperimentError, match=r"without_positive=keep has lists .* loss=info_nce learns nothing from"):
        check_loss(experiment, make_components(experiment).loss)
    experiment = experiment_of("loss=kl_divergence", "negatives.without_positive=keep")
    check_loss(experiment, make_components(experiment).loss)


def test_a_model_that_scores_texts_is_refused_for_lists():
    with pytest.raises(ExperimentError, match=r"only model=cross_encoder trains on: with model=colbert choose a rule"):
        experiment_of("model=colbert")


def _run(tmp_path: Path, data: Path, backbone: Path, *more: str) -> tuple[dict[str, Any], list[list[str]]]:
    _, folder = run([*tiny_overrides(tmp_path, data, backbone), "budget.size=8", *more])
    with gzip.open(folder / "negatives.tsv.gz", "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return _json(folder / "audit.json"), rows[1:]


def _json(path: Path) -> dict[str, Any]:
    import json

    return dict(json.loads(path.read_text()))


def test_a_job_trains_on_lists_and_logs_them(tmp_path: Path, data: Path, backbone: Path):
    audit, rows = _run(tmp_path, data, backbone, *LISTS, "loss=info_nce", "loss.fn.temperature=0.5")
    assert (audit["draw"], audit["groups"]) == ("run_order", 8)
    assert all(len(positives.split()) + len(negatives.split()) == 10 for _, _, positives, negatives in rows)


def test_a_job_mixes_hard_and_random_negatives(tmp_path: Path, data: Path, backbone: Path):
    mixed = ["negatives=random", "negatives.source=bm25+collection", "negatives.draw=top", "negatives.count=4"]
    audit, rows = _run(tmp_path, data, backbone, *mixed, "loss=info_nce")
    assert audit["by_source"]["collection"]["negatives_drawn"] == audit["by_source"]["bm25"]["negatives_drawn"] == 16
    assert audit["by_source"]["collection"]["rank_in_source"] is None
    assert all(positive not in negatives.split() for _, _, positive, negatives in rows)
