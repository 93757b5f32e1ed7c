"""The study of Rank-DistiLLM: what its two stages are at both scales, and which run each teacher is."""

import pytest
from helpers.sweeps import SCALES, SweepJob, jobs_of

from experiments.config.retriever_references import is_run_file
from experiments.jobs.prerequisites import prerequisites_of

ALONE, BOTH = "RankNet alone on RD-", "LCE then RankNet on RD-"


def job_of(variant: str, scale: str) -> SweepJob:
    (job,) = [job for job in jobs_of("rank_distillm", scale) if job.experiment.variant == variant]
    return job


def test_at_paper_scale_the_stages_have_the_papers_sizes():
    lce, both = (job_of(variant, "paper").experiment for variant in ("LCE alone", f"{BOTH}ColBERT"))
    assert (lce.steps(), lce.batch.size, lce.negatives.count, lce.negatives.depth) == (20_000, 32, 7, 200)
    assert (lce.negatives.source, lce.optimizer.lr) == ("colbertv2", 1e-5)
    assert (both.loss["name"], both.batch.size, both.negatives.count) == ("distill_ranknet", 32, 99)
    assert both.whole_steps(both.budget.size / both.batch.size) == 938, "three epochs of 10,000 lists"
    assert both.backbone.path == "google/electra-base-discriminator"
    assert {name: test_set.first_stage for name, test_set in both.tests.items()} == {
        "dl19": ["bm25", "colbertv2"],
        "dl20": ["bm25", "colbertv2"],
    }


@pytest.mark.parametrize("scale", SCALES)
def test_the_first_of_two_stages_is_the_training_of_lce_alone(scale: str):
    (stage_1,) = [
        job for job in prerequisites_of(job_of(f"{BOTH}BM25", scale).experiment) if job.key == "init_from.job"
    ]
    own, alone = stage_1.experiment, job_of("LCE alone", scale).experiment
    assert (own.loss, own.budget, own.batch, own.seed) == (alone.loss, alone.budget, alone.batch, alone.seed)
    assert (own.optimizer, own.scheduler, own.model, own.data) == (
        alone.optimizer,
        alone.scheduler,
        alone.model,
        alone.data,
    )
    assert (own.negatives.count, own.negatives.depth) == (alone.negatives.count, alone.negatives.depth)


@pytest.mark.parametrize("scale", SCALES)
def test_every_teacher_is_the_run_file_that_the_lists_come_from(scale: str):
    for job in jobs_of("rank_distillm", scale):
        experiment = job.experiment
        if experiment.variant != "LCE alone":
            assert experiment.teaches_source
            assert is_run_file(experiment.retrievers[experiment.negatives.source])


def test_at_mini_scale_one_teacher_writes_both_runs_over_all_training_queries():
    runs = [prerequisites_of(job_of(f"{ALONE}{name}", "mini").experiment)[0] for name in ("BM25", "ColBERT")]
    assert [run.experiment.data.measured_on for run in runs] == ["train", "train"]
    assert [run.experiment.first_stage for run in runs] == [["bm25"], ["colbert"]]
    teachers = {job.folder for run in runs for job in run.prerequisites if job.key == "model.job"}
    assert len(teachers) == 1
