"""The losses of ``sweeps/losses_tuned`` have the rates that the kept results of ``sweeps/rates.yaml`` name."""

from collections import defaultdict

from helpers.jobs import ROOT
from helpers.sweeps import jobs_of

from experiments.analysis.load import read_study
from experiments.job_files.archive import study_folder

RATES = ROOT / "sweeps" / "results" / "rates.zip"


def test_each_loss_has_the_rate_that_is_best_on_dev_by_the_mean_of_one_and_seven_negatives():
    measured: dict[str, dict[float, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for job in read_study(study_folder(RATES)):
        assert job.labels["data"] == "apidocs/dev"
        rate, count = job.config["optimizer"]["lr"], job.labels["negatives"]
        measured[job.labels["loss"]][rate][count] = job.test["bm25"]["RR@10"]
    best = {loss: max(rates, key=lambda rate: sum(rates[rate].values())) for loss, rates in measured.items()}
    assert all(set(means) == {1, 7} for rates in measured.values() for means in rates.values())
    chosen = {job.experiment.loss["name"]: job.experiment.optimizer.lr for job in jobs_of("losses_tuned", "mini")}
    assert chosen == best


def test_they_differ_in_nothing_else_from_each_other_and_the_rates_study():
    (rates, *_), tuned = jobs_of("rates", "mini"), jobs_of("losses_tuned", "mini")
    for part in ("model", "batch", "budget", "validation", "scheduler", "callbacks", "first_stage_depth"):
        shared = {repr(getattr(job.experiment, part)).replace("logits=2", "logits=1") for job in (rates, *tuned)}
        assert len(shared) == 1, part
