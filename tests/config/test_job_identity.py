"""Which settings make another job, and the names of jobs."""

from helpers.jobs import ROOT, composed

from experiments.config import compose
from experiments.config.identity import job_hash, job_name, scientific


def test_a_job_is_what_is_scientific_about_it():
    one = compose.plain(composed())
    assert job_hash(
        compose.plain(composed("compute.threads=1", "logger=none", "study=other", "cache=elsewhere"))
    ) == job_hash(one)
    how = ("trainer.profiler=simple", "trainer.log_every_n_steps=9", "callbacks.checkpoint.minutes=1", "logger=csv")
    assert job_hash(compose.plain(composed(*how))) == job_hash(one)
    for change in (
        "seed=2",
        "negatives.depth=50",
        "loss=bce",
        "optimizer.lr=1e-4",
        "scheduler.warmup=0.2",
        "trainer.precision=bf16-mixed",
        "trainer.limit_val_batches=2",
        "callbacks=early_stopping",
        "callbacks.mine._target_=pytorch_lightning.callbacks.LambdaCallback",
        "retrievers.bm25.b=0.5",
    ):
        assert job_hash(compose.plain(composed(change))) != job_hash(one), change


def test_settings_of_a_probe_that_is_off_do_not_matter():
    one = job_hash(compose.plain(composed()))
    assert job_hash(compose.plain(composed("probe.pairing=single"))) == one
    assert job_hash(compose.plain(composed("probe.layers=all"))) != one


def test_a_jobs_name_says_what_varies():
    config = compose.plain(composed("loss=bce", "negatives.count=3", "seed=5"))
    assert job_name(config).startswith("bce-n3-bm25-s5-")


def test_every_sweep_composes():
    sweeps = sorted((ROOT / "sweeps").glob("*.yaml"))
    assert sweeps, "there are sweeps"
    for sweep in sweeps:
        config = composed(f"+sweeps={sweep.stem}")
        assert compose.check(config).study == sweep.stem


def test_the_grade_decides_the_identity_of_a_job_and_the_spelling_of_a_measure_does_not():
    one = job_hash(compose.plain(composed("measures=[RR@10,AP]")))
    assert job_hash(compose.plain(composed("measures=[MRR@10,MAP]"))) == one
    assert job_hash(compose.plain(composed("measures=[RR@10]"))) != one
    graded = compose.plain(composed("measures=[RR@10,AP]", "data.min_grade=2"))
    assert scientific(graded)["measures"] == ["RR(rel=2)@10", "AP(rel=2)"]
    assert scientific(compose.plain(composed()))["measures"] == ["RR@10", "nDCG@10", "R@50", "AP"]
