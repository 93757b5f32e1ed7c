"""Encoding passages into one vector a token."""

from benchmarks.harness.line import Contestant, Line
from benchmarks.lines._encoding import SETTINGS, encoding
from benchmarks.lines._models import PYLATE, SENTENCE_TRANSFORMERS

FP16 = 2.0**-10  # our store's rounding of coordinates below 1

LINE = Line(
    title="encoding 300 passages, one vector a token, MiniLM 6 x 384 to 128, fp32",
    unit="text",
    prepare="write_encoders",
    ours=Contestant("ours", program="our_encoding", settings={"encoder": "colbert"}, packages=SENTENCE_TRANSFORMERS),
    against=(
        encoding(
            "sentence-transformers MultiVectorEncoder", "sentence-transformers", "colbert", SENTENCE_TRANSFORMERS, FP16
        ),
        encoding("PyLate encode", "pylate", "pylate", PYLATE, FP16),
    ),
    settings=SETTINGS,
    equal="token vectors of all passages, ours in fp16",
    note="ours writes them to disk.",
)
