"""The study of transfer: what is trained on, and what each model is measured on."""

from helpers.sweeps import jobs_of

from experiments.jobs.test_sets import test_jobs_of

test_jobs_of.__test__ = False  # type: ignore[attr-defined]


def test_at_mini_scale_each_model_is_measured_on_its_own_collection_another_one_and_one_that_no_model_saw():
    jobs = jobs_of("transfer", "mini")
    assert {job.experiment.data.source["name"] for job in jobs} == {"apidocs_numerics", "apidocs_deep"}
    for job in jobs:
        sets = job.experiment.tests
        assert {name: one.data.source["name"] for name, one in sets.items()} == {
            "numerics": "apidocs_numerics",
            "deep": "apidocs_deep",
            "tools": "apidocs_tools",
        }
        packages = [set(one.data.source["packages"]) for one in sets.values()]
        assert not packages[0] & packages[1] | packages[0] & packages[2] | packages[1] & packages[2]


def test_at_paper_scale_models_are_measured_on_trec_deep_learning():
    (job, *_) = jobs_of("transfer", "paper")
    assert list(job.experiment.tests) == ["dl19", "dl20"]
    assert [one.measures[0] for one in job.experiment.tests.values()] == ["nDCG@10", "nDCG@10"]
    assert job.experiment.first_stage_depth == 1000
