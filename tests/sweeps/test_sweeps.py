"""Every row of every sweep composes and passes the checks, at both scales."""

import pytest
from helpers.jobs import ROOT
from helpers.sweeps import SCALES, SWEEPS, jobs_of

from experiments.config.grid import axes_of

FEWER_SEEDS = {  # the first has to be done in minutes, the others compare nothing by seeds
    "quickstart": ["1", "2"],
    "rates": ["1"],
    "reference_models": ["1"],
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_row_composes_and_passes_the_checks(sweep: str, scale: str):
    jobs = jobs_of(sweep, scale)
    assert len(jobs) >= 2
    assert {job.experiment.scale for job in jobs} == {scale}
    assert {job.experiment.study for job in jobs} == {sweep}
    assert len({job.name for job in jobs}) == len(jobs), "each row is a job of its own"


@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_table_that_compares_has_several_seeds_which_vary_fastest(sweep: str):
    axes, _ = axes_of(sweep, "mini")
    assert list(axes.items())[-1] == ("seed", FEWER_SEEDS.get(sweep, ["1", "2", "3"]))


@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_sweep_says_in_its_first_lines_what_it_asks(sweep: str):
    first, second, third, *_ = (ROOT / "sweeps" / f"{sweep}.yaml").read_text().splitlines()
    assert first == "# @package _global_"
    assert second.startswith("# ")
    assert third.startswith("# ")


def test_each_row_of_the_dual_encoder_sweep_is_another_encoder():
    duals = [job.experiment.model for job in jobs_of("ananthakrishnan2025_dual_encoder", "mini")]
    assert [(one.layers, one.infused, one.infuse_embeddings, one.rest) for one in duals] == [
        (2, [1], True, "random"),
        (2, [1, 2], True, "random"),
        (2, [], True, "random"),
        (2, [], False, "backbone"),
        (2, [], False, "random"),
        (None, [], False, "backbone"),
    ]


def test_the_paper_scale_takes_all_queries_and_the_mini_scale_a_sample():
    mini, paper = (jobs_of("pradeep2022_negatives", scale)[0].experiment for scale in SCALES)
    assert (mini.data.queries.train, mini.data.queries.test) == (2000, 300)
    assert (paper.data.queries.train, paper.data.queries.test) == (None, None)
