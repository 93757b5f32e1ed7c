"""Prerequisite jobs as mappings: what Hydra reads from one."""

from typing import Any

import pytest
from helpers.jobs import composed

from experiments.common.errors import ExperimentError
from experiments.config.job_overrides import check_job, overrides_of


@pytest.mark.parametrize(
    ("job", "overrides"),
    [
        ({"loss": "lce", "negatives": {"count": 7}}, ["loss=lce", "negatives.count=7"]),
        ({"backbone": "local", "backbone.path": "/my/bert"}, ["backbone=local", "backbone.path=/my/bert"]),
        ({"retriever": ["bm25", "colbert"]}, ["retriever=[bm25,colbert]"]),
        ({"optimizer": {"lr": 1e-3, "betas": [0.9, 0.99]}}, ["optimizer.lr=0.001", "optimizer.betas=[0.9,0.99]"]),
        ({"budget": {"size": None}, "in_batch": False}, ["budget.size=null", "in_batch=false"]),
        ({"data": {"path": "my folder=1"}, "name": "null"}, ["data.path='my folder=1'", "name='null'"]),
        ({"data.path": "it's"}, [r"data.path='it\'s'"]),
    ],
)
def test_a_mapping_is_what_is_typed_on_the_command_line(job: dict[str, Any], overrides: list[str]):
    assert overrides_of("loss.job", job) == overrides


def test_hydra_reads_the_values_that_were_written():
    job = {"backbone": "local", "backbone.path": r"C:\a=b's (1)", "negatives": {"count": 3}, "study": "7"}
    config = composed(*overrides_of("loss.job", job))
    assert (config.backbone.path, config.negatives.count, config.study) == (r"C:\a=b's (1)", 3, "7")


def test_a_line_is_refused_with_the_mapping_that_it_would_be():
    with pytest.raises(ExperimentError, match=r"model\.job is 'loss=lce seed=2': .*: {loss: lce, seed: 2}$"):
        check_job("model.job", "loss=lce seed=2")


def test_the_command_line_changes_one_value_of_a_job_and_adds_another():
    config = composed("loss=margin_mse", "loss.job.negatives.count=3", "+loss.job.optimizer.lr=1e-3")
    assert config.loss.job == {"loss": "lce", "negatives": {"count": 3}, "optimizer": {"lr": 1e-3}}
