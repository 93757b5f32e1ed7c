"""Re-ranking with a 6-layer MiniLM in int8, against fp32 and other int8 backends."""

from typing import Any

from benchmarks.harness.line import Contestant, Line
from benchmarks.lines._models import LIGHTNING, LONGER, SENTENCE_TRANSFORMERS, longer_job

INT8 = "trainer.precision=int8-dynamic"  # our precision for inference
TOLERANCE = 0.2  # of scores with a standard deviation of about 0.4


def library(label: str, environment: str, target: float, *packages: str, **settings: Any) -> Contestant:
    """Return ``CrossEncoder.predict`` with a backend."""
    return Contestant(
        label,
        program="st_scoring",
        environment=environment,
        settings=settings,
        packages=(SENTENCE_TRANSFORMERS[0], *packages),
        target=target,
        tolerance=TOLERANCE,
    )


LINE = Line(
    title="re-ranking 6 x 50 pairs, MiniLM 6 x 384, 256 tokens, int8",
    unit="pair",
    prepare="write_run",
    ours=Contestant("ours", program="our_scoring", settings={"extra": [INT8]}, packages=LIGHTNING),
    against=(
        library("sentence-transformers predict, fp32", "sentence-transformers", 3.0),
        library(
            "sentence-transformers predict, ONNX int8",
            "sentence-transformers-onnx",
            1.0,
            "onnxruntime",
            "optimum-onnx",
            backend="onnx",
        ),
        library(
            "sentence-transformers predict, OpenVINO",
            "sentence-transformers-openvino",
            1.0,
            "openvino",
            "optimum-intel",
            backend="openvino",
        ),
    ),
    settings={**LONGER, "job": longer_job("minilm", "data.queries.test=6")},
    ranks=True,
    equal="scores of all pairs",
    note="ours reads tokens from the cache, as every job but the first; the others tokenise.",
)
