"""What is trained."""

from dataclasses import dataclass

from experiments.errors import ExperimentError
from experiments.schema.ranges import at_least, one_of


@dataclass
class Model:
    """What is trained. ``logits``: 1, or 2 classes as in the papers' code. ``rank_by``: with 2 classes, the score that
    ranks: the ``log_odds`` or the ``positive_logit`` alone (Pradeep 2022). ``dropout``: null keeps the backbone's
    own. ``fresh_pooler``: how BERT's pooler starts if the backbone brings none, as the ``identity`` or ``random``.
    """

    kind: str = "cross_encoder"
    max_length: int = 256
    max_query_tokens: int = 64
    logits: int = 1
    rank_by: str = "log_odds"
    dropout: float | None = None
    fresh_pooler: str = "identity"

    def __post_init__(self) -> None:
        one_of("model.kind", self.kind, ("cross_encoder",))
        at_least("model.max_length", self.max_length, 8)
        at_least("model.max_query_tokens", self.max_query_tokens, 1)
        one_of("model.logits", self.logits, (1, 2))
        one_of("model.fresh_pooler", self.fresh_pooler, ("identity", "random"))
        one_of("model.rank_by", self.rank_by, ("log_odds", "positive_logit"))
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ExperimentError(f"model.dropout is {self.dropout}: it must be from 0 to below 1, or null")
        if self.rank_by == "positive_logit" and self.logits == 1:
            raise ExperimentError(
                "model.rank_by=positive_logit needs model.logits=2: one logit is the log-odds already"
            )
