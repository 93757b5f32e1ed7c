"""Encoding passages into one vector each."""

from benchmarks.harness.line import Contestant, Line
from benchmarks.lines._encoding import SETTINGS, encoding
from benchmarks.lines._models import SENTENCE_TRANSFORMERS

LINE = Line(
    title="encoding 300 passages, one vector each, MiniLM 6 x 384, fp32",
    unit="text",
    prepare="write_encoders",
    ours=Contestant("ours", program="our_encoding", settings={"encoder": "dense"}, packages=SENTENCE_TRANSFORMERS),
    against=(
        encoding(
            "sentence-transformers encode", "sentence-transformers", "dense", SENTENCE_TRANSFORMERS, tolerance=1e-5
        ),
    ),
    settings=SETTINGS,
    equal="vectors of all passages",
    note="ours writes them to disk.",
)
