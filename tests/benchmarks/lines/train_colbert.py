"""Training of a ColBERT with in-batch negatives."""

from benchmarks.lines._retrievers import retriever_line

LINE = retriever_line(
    "training a ColBERT, 8 groups of 1 + 3 a step with in-batch negatives, MiniLM 6 x 384, compute.layout=packed, fp32",
    "MultiVectorEncoder",
    tolerance=1e-4,
)
