"""Depths of re-ranking: a number or a list, what is refused, and which job it is."""

from typing import Any

import pytest
from helpers.jobs import composed

from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.depths import depths_of
from experiments.config.identity import first_stages_name, job_hash


@pytest.mark.parametrize(("value", "depths"), [(50, (50,)), ([50], (50,)), ([10, 20, 50], (10, 20, 50))])
def test_a_number_is_one_depth(value: Any, depths: tuple[int, ...]):
    assert depths_of(value) == depths


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "first_stage_depth is 0: it must be at least 1"),
        ([0, 10], "first_stage_depth is 0: it must be at least 1"),
        ([20, 10], r"first_stage_depth is \[20, 10\]: its depths must rise and be different: set it to \[10,20\]"),
        ([10, 10, 20], r"first_stage_depth is \[10, 10, 20\]: .* set it to \[10,20\]"),
        ([], r"first_stage_depth is \[\]: it must be a whole number, or several in a list such as \[10,20,50\]"),
        ("many", "first_stage_depth is 'many': it must be a whole number, or several"),
        (12.5, "first_stage_depth is 12.5: it must be a whole number"),
        (None, "first_stage_depth is None: it must be a whole number"),
        (True, "first_stage_depth is True: it must be a whole number"),
        ([10, "deep"], r"first_stage_depth is \[10, 'deep'\]: it must be a whole number"),
    ],
)
def test_other_values_are_refused(value: Any, message: str):
    with pytest.raises(ExperimentError, match=message):
        depths_of(value)


def test_the_largest_depth_is_scored():
    experiment = compose.check(composed("first_stage_depth=[10,20,50]"))
    assert (experiment.rerank_depth, experiment.depths) == (50, (10, 20, 50))


def test_measures_must_fit_the_largest_depth_alone():
    compose.check(composed("first_stage_depth=[5,50]", "measures=[R@50]"))
    with pytest.raises(ExperimentError, match="R@50 looks at 50 passages, but first_stage_depth=20"):
        compose.check(composed("first_stage_depth=[5,20]", "measures=[R@50]"))


def test_several_depths_are_another_job_and_a_list_of_one_is_not():
    hashes = [job_hash(compose.plain(composed(f"first_stage_depth={depth}"))) for depth in ("50", "[50]", "[10,50]")]
    assert hashes[0] == hashes[1] != hashes[2]
    assert hashes[0] == job_hash(compose.plain(composed())), "50 is the depth at scale=mini"


def test_first_stages_alone_are_measured_to_the_largest_depth():
    names = [first_stages_name(compose.plain(composed(f"first_stage_depth={depth}"))) for depth in ("50", "[10,50]")]
    assert names[0] == names[1]
