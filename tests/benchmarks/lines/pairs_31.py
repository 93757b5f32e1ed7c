"""Training with 31 negatives a query against 7: the time of a pair, at the same pairs a step."""

from benchmarks.harness.line import Contestant, Line
from benchmarks.lines._models import LIGHTNING, TOKENS, job

LINE = Line(
    title="training, LCE n=31 against n=7, time of a pair, BERT 2 x 128, 64 pairs a step",
    unit="pair",
    prepare="collection",
    ours=Contestant(
        "ours, n=31",
        program="our_training",
        settings={"negatives": 31, "queries": 2, "pairs": True},
        packages=LIGHTNING,
    ),
    against=(
        Contestant(
            "ours, n=7",
            program="our_training",
            settings={"negatives": 7, "queries": 8, "pairs": True},
            packages=LIGHTNING,
            target=round(1 / 1.05, 3),
        ),
    ),
    settings={
        **TOKENS,
        "equal_steps": 1,
        "dropout": 0.1,
        "warm_up": 5,
        "steps": 40,
        "lr": 2e-4,
        "job": job("bert_tiny"),
    },
    note="a ratio of 0.952 is 1.05 times the time. The negatives are drawn from the same top 50 of BM25.",
)
