"""Exact MaxSim of token vectors."""

from benchmarks.harness.line import Contestant, Line
from benchmarks.lines._models import PYLATE, SENTENCE_TRANSFORMERS

LINE = Line(
    title="exact MaxSim, 100 queries x 5,000 passages, 165,000 tokens of 128 dimensions",
    unit="score",
    ours=Contestant("ours", program="our_maxsim"),
    against=(
        Contestant(
            "sentence-transformers similarity",
            program="library_maxsim",
            environment="sentence-transformers",
            settings={"library": "sentence-transformers"},
            packages=SENTENCE_TRANSFORMERS,
            target=5.0,
            tolerance=1e-4,
        ),
        Contestant(
            "PyLate colbert_scores",
            program="library_maxsim",
            environment="pylate",
            settings={"library": "pylate"},
            packages=PYLATE,
            target=5.0,
            tolerance=1e-4,
        ),
    ),
    settings={"maxsim_queries": 100, "maxsim_passages": 5000, "maxsim_tokens": 165_000},
    equal="all scores",
    note="ours reads fp16 vectors, as they are stored; the others have fp32 tensors beforehand.",
)
