"""Training of the quickstart's BERT 2 x 128 with LCE, n=7."""

from benchmarks.lines._models import job
from benchmarks.lines._training import training_line

LINE = training_line(
    "training, LCE n=7, BERT 2 x 128, 160 tokens, fp32",
    targets=(3.5, 3.5),
    tolerance=1e-5,
    backbone="bert_tiny",
    queries=2,
    warm_up=5,
    steps=40,
    lr=2e-4,
    job=job("bert_tiny"),
)
