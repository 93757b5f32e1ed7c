"""Share what lines have in common: the packages whose versions are recorded, and the keys of our jobs."""

SENTENCE_TRANSFORMERS = ("sentence-transformers", "accelerate", "datasets")
LIGHTNING_IR = ("lightning-ir", "lightning")
PYLATE = ("pylate", "sentence-transformers")
LIGHTNING = ("pytorch-lightning",)

TOKENS = {"query_tokens": 16, "passage_tokens": 141}  # with three special ones a pair has at most 160


def job(backbone: str, *more: str) -> list[str]:
    """Return the keys of a cross-encoder that reads pairs of 160 tokens."""
    return ["loss=lce", f"backbone={backbone}", "model.max_length=160", "model.max_query_tokens=16", *more]


LONGER = {"query_tokens": 32, "passage_tokens": 221}  # at most 256: lengths differ more, as those of passages do


def longer_job(backbone: str, *more: str) -> list[str]:
    """Return the keys of a cross-encoder that reads pairs of 256 tokens."""
    return ["loss=lce", f"backbone={backbone}", "model.max_length=256", "model.max_query_tokens=32", *more]
