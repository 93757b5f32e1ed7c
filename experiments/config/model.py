"""What is trained."""

from dataclasses import dataclass, field

from experiments.common.checks import at_least, one_of
from experiments.common.errors import ExperimentError

KINDS = ("cross_encoder", "colbert", "dual_encoder")
TEMPERATURES = {"cosine": 0.05, "dot": 1.0}  # cosines lie within 1 of each other, too close for a softmax as they are


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
class DualEncoder:
    """What only ``model.kind: dual_encoder`` has (Ananthakrishnan et al. 2025, arXiv 2502.03552).

    ``layers``: how many, null for as many as the backbone has. ``infused``: numbers of the layers copied from the
    cross-encoder, counted from 1 as ``hidden_states`` are; a layer keeps its number. ``infuse_embeddings``: copy its
    embeddings too. ``rest``: what all else starts from, ``random`` weights or the ``backbone``. ``pooling``: a text's
    vector is the ``mean`` of its token states, special tokens included as in sentence-transformers, or the first
    token's (``cls``). ``similarity``: ``cosine`` or ``dot``. ``temperature``: what similarities are divided by before
    the loss, null for .05 with cosine and 1 with dot. ``in_batch``: the other groups' passages are negatives too.

    ``cross_encoder``: a folder or hub id; null for the one that ``job`` trains, or if nothing is infused or learnt from
    one. ``job``: overrides of a job that trains it first, on the same data. ``distil``: learn the cross-encoder's
    scores too, by ``margin_mse`` or ``kl``; ``distil_weight``: its share of the loss; ``distil_temperature``: of
    ``kl``. ``align_layer``: draw each text's vector to that of this layer of the cross-encoder, which reads the text
    paired with itself; null for none; ``align_weight``: of that term.
    """

    layers: int | None = 2
    infused: list[int] = field(default_factory=lambda: [1])
    infuse_embeddings: bool = True
    rest: str = "random"
    pooling: str = "mean"
    similarity: str = "cosine"
    temperature: float | None = None
    in_batch: bool = True
    cross_encoder: str | None = None
    job: str | None = None
    distil: str = "none"
    distil_weight: float = 0.5
    distil_temperature: float = 1.0
    align_layer: int | None = None
    align_weight: float = 1.0

    def __post_init__(self) -> None:
        key = "model.dual_encoder"
        at_least(f"{key}.layers", self.layers, 1)
        for layer in self.infused:
            at_least(f"{key}.infused", layer, 1)
            if self.layers is not None and layer > self.layers:
                raise ExperimentError(f"{key}.infused has layer {layer}, but {key}.layers is {self.layers}")
        if len(set(self.infused)) != len(self.infused):
            raise ExperimentError(f"{key}.infused names a layer twice: {self.infused}")
        one_of(f"{key}.rest", self.rest, ("random", "backbone"))
        one_of(f"{key}.pooling", self.pooling, ("mean", "cls"))
        one_of(f"{key}.similarity", self.similarity, tuple(TEMPERATURES))
        at_least(f"{key}.temperature", self.temperature, 0, strictly=True)
        one_of(f"{key}.distil", self.distil, ("none", "margin_mse", "kl"))
        at_least(f"{key}.distil_weight", self.distil_weight, 0, strictly=True)
        if self.distil_weight > 1:
            raise ExperimentError(f"{key}.distil_weight is {self.distil_weight}: it must be above 0 and at most 1")
        at_least(f"{key}.distil_temperature", self.distil_temperature, 0, strictly=True)
        at_least(f"{key}.align_layer", self.align_layer, 0)
        at_least(f"{key}.align_weight", self.align_weight, 0, strictly=True)

    @property
    def infuses(self) -> bool:
        """Whether weights of the cross-encoder are copied."""
        return bool(self.infused) or self.infuse_embeddings

    @property
    def learns_from_teacher(self) -> bool:
        """Whether the cross-encoder is read during training."""
        return self.distil != "none" or self.align_layer is not None

    @property
    def scale(self) -> float:
        """What similarities are multiplied with before the loss: the inverse of the temperature."""
        return 1.0 / (self.temperature if self.temperature is not None else TEMPERATURES[self.similarity])

    def check_cross_encoder(self) -> None:
        """Raise ExperimentError unless there is a cross-encoder where one is needed."""
        key = "model.dual_encoder"
        if (self.infuses or self.learns_from_teacher) and self.cross_encoder is None and self.job is None:
            raise ExperimentError(
                f"{key}.cross_encoder is null, but {self._need()}: set {key}.cross_encoder to the folder model of a "
                f"finished cross-encoder job, or {key}.job to the overrides of one to be trained first; for a plain "
                f"dual encoder set {key}.infused=[] {key}.infuse_embeddings=false {key}.rest=backbone "
                f"{key}.distil=none {key}.align_layer=null"
            )

    def _need(self) -> str:
        if self.infused:
            return f"infused={self.infused} copies layers from it"
        if self.infuse_embeddings:
            return "infuse_embeddings=true copies its embeddings"
        return f"distil={self.distil} learns from it" if self.distil != "none" else "align_layer is one of its layers"


@dataclass
class Model:
    """What is trained. ``kind``: a ``cross_encoder``, ``colbert`` or ``dual_encoder``. ``max_length``: tokens of a
    pair, special tokens included (the other kinds: of a passage). ``max_query_tokens``: a pair's query is cut to that
    many tokens (the other kinds: tokens of a query, special ones included). ``logits``: 1, or 2 classes as in the
    papers' code. ``rank_by``: with 2 classes, the score that ranks: the ``log_odds`` or the ``positive_logit`` alone
    (Pradeep 2022). ``dropout``: null keeps the backbone's own. ``fresh_pooler``: how BERT's pooler starts if the
    backbone brings none, as the ``identity`` or ``random``.
    """

    kind: str = "cross_encoder"
    max_length: int = 256
    max_query_tokens: int = 64
    logits: int = 1
    rank_by: str = "log_odds"
    dropout: float | None = None
    fresh_pooler: str = "identity"
    late_interaction: LateInteraction = field(default_factory=LateInteraction)
    dual_encoder: DualEncoder = field(default_factory=DualEncoder)

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
        if self.kind == "dual_encoder":
            self.dual_encoder.check_cross_encoder()
