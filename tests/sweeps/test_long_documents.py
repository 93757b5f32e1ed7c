"""One model, measured by its first tokens and by its best window."""

import pytest
from helpers.sweeps import SCALES, jobs_of

from experiments.jobs.prerequisites import prerequisites_of

SWEEP = "long_documents"


@pytest.mark.parametrize("scale", SCALES)
def test_one_training_on_first_tokens_is_measured_in_both_ways(scale: str):
    first_p, max_p = (job.experiment for job in jobs_of(SWEEP, scale))
    assert (first_p.model.document, max_p.model.document) == ("first_p", "max_p")
    (training,), (same,) = prerequisites_of(first_p), prerequisites_of(max_p)
    assert training.folder == same.folder
    assert training.experiment.model.document == "first_p"
    assert training.experiment.seed == first_p.seed


def test_at_paper_scale_the_training_is_the_one_of_gao_2021():
    (training,) = prerequisites_of(jobs_of(SWEEP, "paper")[0].experiment)
    gao = next(
        job.experiment
        for job in jobs_of("gao2021", "paper")
        if (job.experiment.negatives.source, job.experiment.loss["name"]) == ("bm25_tuned", "lce")
    )
    one = training.experiment
    for part in ("loss", "negatives", "batch", "optimizer", "scheduler", "model", "backbone", "data"):
        assert getattr(one, part) == getattr(gao, part), part
    assert one.budget == gao.budget
    assert one.validation.select == gao.validation.select == "last"
    assert one.first_stage_depth == gao.first_stage_depth == 100
