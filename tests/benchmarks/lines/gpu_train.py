"""Training of an ELECTRA-base shape on a GPU in bf16."""

from benchmarks.harness.line import Contestant, Line
from benchmarks.lines._models import LIGHTNING, SENTENCE_TRANSFORMERS

JOB = ["loss=lce", "model.max_length=256", "model.max_query_tokens=32", "backbone=local", "backbone.name=electra-shape"]
# Most of the pairs of a step in one pass, by compiled layers.
LARGE, COMPILED = ["compute.tokens_per_batch.train=32768"], "compute.layout=compiled"

LINE = Line(
    title="training, LCE n=7, ELECTRA base's shape, 16 queries a step, 256 tokens, bf16",
    unit="group",
    prepare="write_electra",
    device="gpu",
    clock="wall",
    ours=Contestant(
        "ours, bf16, compiled", program="our_training", settings={"extra": [*LARGE, COMPILED]}, packages=LIGHTNING
    ),
    against=(
        Contestant(
            "ours, bf16, compute.layout=auto", program="our_training", settings={"extra": LARGE}, packages=LIGHTNING
        ),
        Contestant(
            "ours, padded, fp32",
            program="our_training",
            settings={"extra": ["compute.layout=padded", "trainer.precision=32-true"]},
            packages=LIGHTNING,
        ),
        Contestant(
            "sentence-transformers CrossEncoderTrainer, bf16",
            program="st_training",
            environment="sentence-transformers",
            settings={"precision": "bf16"},
            packages=SENTENCE_TRANSFORMERS,
            target=1.5,
        ),
    ),
    settings={
        "query_tokens": 32,
        "passage_tokens": 221,
        "negatives": 7,
        "queries": 16,
        "equal_steps": 1,
        "warm_up": 5,
        "steps": 20,
        "dropout": 0.1,
        "lr": 1e-5,
        "trainer": "gpu",
        "device": "cuda",
        "job": JOB,
    },
    flops=True,
    note="ours is by compute.layout=compiled, in passes of up to 32,768 tokens. Weights are random; scores are not "
    "compared, since bf16 rounds them.",
)
