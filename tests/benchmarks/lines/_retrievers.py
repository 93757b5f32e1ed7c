"""Share what the lines of bi-encoder training have in common."""

from benchmarks.harness.line import Contestant, Line
from benchmarks.lines._models import LIGHTNING, SENTENCE_TRANSFORMERS, TOKENS

MODELS = {  # our keys of the model that the library's class holds
    "MultiVectorEncoder": ["model=colbert", "model.dimension=128", "compute.layout=packed"],
    "SentenceTransformer": [
        "model=dual_encoder",
        "model.layers=null",
        "model.infused=[]",
        "model.infuse_embeddings=false",
        "model.rest=backbone",
    ],
}
LENGTHS = ["model.max_length=144", "model.max_query_tokens=19"]  # of texts with special tokens and ColBERT's marker


def retriever_line(title: str, kind: str, tolerance: float) -> Line:
    """Return a line of training with in-batch negatives against the library's trainer of a class."""
    return Line(
        title=title,
        unit="group",
        prepare="write_groups",
        ours=Contestant("ours", program="our_training", packages=LIGHTNING),
        against=(
            Contestant(
                f"sentence-transformers {kind}Trainer",
                program="st_retriever_training",
                environment="sentence-transformers",
                settings={"kind": kind},
                packages=SENTENCE_TRANSFORMERS,
                target=1.3,
                tolerance=tolerance,
            ),
        ),
        settings={
            **TOKENS,
            "negatives": 3,
            "equal_steps": 1,  # in the second, groups share a passage, which only ours counts once
            "queries": 8,
            "warm_up": 1,
            "steps": 3,
            "dropout": 0.1,
            "lr": 2e-5,
            "job": ["loss=lce", "backbone=minilm", *MODELS[kind], *LENGTHS],
        },
        equal="scores of the first step's pairs, before and after one step of training without dropout",
    )
