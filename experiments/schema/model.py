"""What is trained."""

from dataclasses import dataclass, field

from experiments.errors import ExperimentError
from experiments.schema.ranges import at_least, one_of

KINDS = ("cross_encoder", "colbert")


@dataclass
class LateInteraction:
    """What only ``model.kind: colbert`` has. ``dimension`` of a token's embedding. ``query_marker``,
    ``passage_marker``: the token after the first that says which of the two a text is (Khattab and Zaharia 2020).
    ``expand_queries``: fill queries up to ``max_query_tokens`` with mask tokens that are matched too;
    ``attend_to_expansion``: other tokens see those. ``skip_punctuation``: punctuation in passages is not matched.
    ``fresh_projection``: how the projection starts, as the ``identity`` (the first ``dimension`` coordinates) or
    ``random``. ``in_batch``: the other groups' passages are negatives too. ``scale``: of the scores in the loss.
    """

    dimension: int = 128
    query_marker: str = "[unused0]"
    passage_marker: str = "[unused1]"
    expand_queries: bool = False
    attend_to_expansion: bool = False
    skip_punctuation: bool = True
    fresh_projection: str = "identity"
    in_batch: bool = True
    scale: float = 1.0

    def __post_init__(self) -> None:
        key = "model.late_interaction"
        at_least(f"{key}.dimension", self.dimension, 1)
        one_of(f"{key}.fresh_projection", self.fresh_projection, ("identity", "random"))
        at_least(f"{key}.scale", self.scale, 0, strictly=True)
        for name in ("query_marker", "passage_marker"):
            value = getattr(self, name)
            if not value or value != value.strip():
                raise ExperimentError(f"{key}.{name} is {value!r}: it must be one token, such as [unused0]")
        if self.query_marker == self.passage_marker:
            raise ExperimentError(f"{key}: query_marker and passage_marker must differ, both are {self.query_marker!r}")


@dataclass
class Model:
    """What is trained. ``kind``: a ``cross_encoder`` or ``colbert``. ``max_length``: tokens of a pair, special tokens
    included (``colbert``: of a passage). ``max_query_tokens``: a pair's query is cut to that many tokens (``colbert``:
    tokens of a query, special ones included). ``logits``: 1, or 2 classes as in the papers' code. ``rank_by``: with 2
    classes, the score that ranks: the ``log_odds`` or the ``positive_logit`` alone (Pradeep 2022). ``dropout``: null
    keeps the backbone's own. ``fresh_pooler``: how BERT's pooler starts if the backbone brings none, as the
    ``identity`` or ``random``.
    """

    kind: str = "cross_encoder"
    max_length: int = 256
    max_query_tokens: int = 64
    logits: int = 1
    rank_by: str = "log_odds"
    dropout: float | None = None
    fresh_pooler: str = "identity"
    late_interaction: LateInteraction = field(default_factory=LateInteraction)

    def __post_init__(self) -> None:
        one_of("model.kind", self.kind, KINDS)
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
        if self.kind != "cross_encoder" and self.logits != 1:
            raise ExperimentError(
                f"model.kind={self.kind} has one score for a pair: choose a loss with one logit, such as loss=lce"
            )
