"""Training of a 6-layer MiniLM with LCE, n=7."""

from benchmarks.lines._models import job
from benchmarks.lines._training import training_line

LINE = training_line(
    "training, LCE n=7, MiniLM 6 x 384, 160 tokens, fp32",
    targets=(2.3, 2.5),
    tolerance=1e-5,
    backbone="minilm",
    queries=2,
    warm_up=1,
    steps=4,
    lr=2e-5,
    job=job("minilm"),
)
