"""Presets of the drawing rules, what they refuse, and that older jobs keep their names."""

from typing import Any

import pytest
from helpers.jobs import composed

from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.identity import job_hash, scientific


def rule(*overrides: str) -> Any:
    return compose.check(composed(*overrides)).negatives


def test_each_drawing_rule_is_a_preset():
    draws = {name: rule(f"negatives={name}").draw for name in ("uniform", "top", "log_random", "stratified")}
    assert all(name == draw for name, draw in draws.items())
    below = rule("negatives=below_positive")
    assert (below.draw, below.filter.relative_margin, below.filter.scorer, below.positives) == (
        "top", 0.05, "source", "retrieved",
    )  # fmt: skip


def test_random_negatives_bring_their_source_along():
    experiment = compose.check(composed("negatives=random"))
    assert (experiment.negatives.source, experiment.roles) == ("collection", {"collection", "bm25"})
    mixed = compose.check(composed("negatives=random", "negatives.source=bm25+collection", "negatives.draw=top"))
    assert mixed.negatives.draw == "top"


def test_the_share_below_the_positive_can_be_set():
    assert rule("negatives=below_positive", "negatives.filter.relative_margin=0.02").filter.relative_margin == 0.02


def test_keys_at_their_default_leave_a_job_its_name():
    config = compose.plain(composed())
    negatives = scientific(config)["negatives"]
    assert not {"draw", "strata"} & set(negatives)
    assert not {"min_score", "max_score"} & set(negatives["filter"])
    for change in ("negatives.draw=top", "negatives.filter.min_score=1", "negatives.filter.max_score=0"):
        assert job_hash(compose.plain(composed(change))) != job_hash(config), change
    strata = ("negatives=stratified", "negatives=stratified negatives.strata=7")
    assert len({job_hash(compose.plain(composed(*given.split()))) for given in strata}) == 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("negatives.draw=top", r"negatives\.draw=top needs ranks, which negatives\.source=collection has none of"),
        ("negatives.filter.min_score=1", r"negatives\.filter compares scores, which the passages of .*=collection"),
        (
            "negatives.source=bm25+collection negatives.filter.relative_margin=0.1 negatives.filter.scorer=a/model",
            r"negatives\.filter compares scores",
        ),
        ("negatives.positives=retrieved", r"source=collection ranks, but that source ranks none"),
    ],
)
def test_the_whole_collection_has_neither_ranks_nor_scores_nor_positives(overrides: str, message: str):
    with pytest.raises(ExperimentError, match=message):
        rule("negatives=random", *overrides.split())
