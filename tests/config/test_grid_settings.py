"""The settings of a grid's jobs, read from a few composed ones: equal to those of each job composed on its own."""

import pytest

from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.grid import Row, compose_grid

ALIKE = (
    ["negatives.count=1,3", "seed=1,2"],
    ["scale=mini,paper", "seed=1,2"],
    ["loss=lce,bce", "optimizer.lr=1e-4,3e-5"],
    ["model=cross_encoder,colbert", "seed=1,2"],
    ["first_stage_depth=20,50", "validation.depth=5"],
    ["variant=one,2", "data.queries.train=10,20"],
    ["+sweeps=quickstart"],
    ["+sweeps=losses", "seed=1"],
    ["+sweeps=transfer", "seed=1,2"],
)


@pytest.fixture(autouse=True)
def _registered() -> None:
    compose.register()


def rows(*overrides: str) -> list[Row]:
    return list(compose_grid(overrides).rows)


@pytest.mark.parametrize("overrides", ALIKE, ids=" ".join)
def test_settings_are_those_of_each_job_composed_alone(overrides: list[str]):
    for row in rows(*overrides):
        assert not row.composed_alone
        assert repr(row.plain) == repr(compose.plain(row.config))
        assert row.experiment() == compose.check(row.config)
        assert repr(row.experiment()) == repr(compose.check(row.config))


def test_jobs_share_no_part_of_their_settings():
    first, second = rows("seed=1,2")
    first.plain["negatives"]["count"] = 100
    first.experiment().retrievers["bm25"]["k1"] = 100
    assert second.plain["negatives"]["count"] != 100
    assert second.experiment().retrievers["bm25"]["k1"] != 100


@pytest.mark.parametrize(
    "override",
    ["data.queries={train:10},{train:20}", "+loss.fn.more=1,2", "'outputs=${study}/1,${study}/2'", "variant=null,x"],
)
def test_a_job_that_differs_in_more_than_plain_values_is_read_as_well(override: str):
    for row in rows(override.strip("'")):
        assert row.plain == compose.plain(row.config)


def test_a_value_of_the_wrong_type_is_named_with_its_job():
    with pytest.raises(ExperimentError, match=r"^job 2 \(negatives.count=many\): "):
        rows("negatives.count=1,many", "seed=1")


def test_a_key_that_does_not_exist_is_named_with_its_job():
    with pytest.raises(ExperimentError, match=r"^job 1 \(negatives.coun=1\): "):
        rows("negatives.coun=1,2")


def test_a_value_out_of_range_is_an_error_of_its_check():
    good, bad = rows("batch.size=1,0")
    assert good.experiment().batch.size == 1
    with pytest.raises(ExperimentError, match=r"batch\.size"):
        bad.experiment()
