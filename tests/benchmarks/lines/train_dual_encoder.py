"""Training of a dual encoder with in-batch negatives."""

from benchmarks.lines._retrievers import retriever_line

LINE = retriever_line(
    "training a dual encoder, 8 groups of 1 + 3 a step with in-batch negatives, MiniLM 6 x 384, fp32",
    "SentenceTransformer",
    tolerance=1e-4,
)
