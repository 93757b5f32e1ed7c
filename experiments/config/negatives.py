"""Declare the rule that draws negatives. The presets of the papers are the files of ``conf/negatives``."""

import math
from dataclasses import dataclass, field, fields

from experiments.common.checks import at_least, one_of
from experiments.common.errors import ExperimentError
from experiments.config.values import check_path

MIN_COUNT, MAX_COUNT = 1, 31
MAX_LIST = 100  # passages of a list in run order
DRAWS = (UNIFORM, TOP, LOG_RANDOM, STRATIFIED, RUN_ORDER) = (
    "uniform", "top", "log_random", "stratified", "run_order",
)  # fmt: skip
WITH_REPLACEMENT = (UNIFORM, LOG_RANDOM)  # the draws in which chance alone decides
POSITIVES = ("all", "retrieved")
REDRAW = ("epoch", "never")
SHORT = ("error", "replacement", "drop")
WITHOUT_POSITIVE = ("error", "add", "keep")
RUN_SCORES = "source"  # the scorer that reads the scores of the source's run


def sources_of(source: str) -> tuple[str, ...]:
    """Return the retrievers whose runs take turns in a group, in order: ``"bm25+colbert"`` -> ``("bm25", "colbert")``.

    A repeated name has several turns: ``"bm25+bm25+colbert"`` draws two thirds from BM25.

    Raises:
        ExperimentError: a name is empty, as in ``"bm25+"``.
    """
    names = tuple(name.strip() for name in source.split("+"))
    if not all(names):
        raise ExperimentError(
            f"negatives.source is {source!r}: it must be a retriever, or several joined by +, such as bm25+colbert"
        )
    return names


@dataclass  # not frozen: see NegativeRule
class NegativeFilter:
    """Filter of candidates that may be relevant although nobody judged them so.

    With several positives, the margins compare with the best-scored one. Judges mark partial answers too, so a filter
    by the weakest positive would drop the hard negatives. (sentence-transformers compares with the lowest-scored.)
    """

    copies: bool = True
    """Drop a candidate with the same text as any positive of the query, white space aside."""
    near_duplicate: float | None = None
    """Drop a candidate whose text is at least this similar to any positive of the query: Jaccard similarity of word
    shingles, above 0 to 1."""
    twin_query: float | None = None
    """Drop a candidate that is judged relevant for another training query at least this similar: Jaccard similarity of
    pairs of words without function words, above 0 to 1; 1 is the same content words in the same order."""
    absolute_margin: float | None = None
    """Keep a candidate only if its score is at most the positive's minus this margin, which may be negative."""
    relative_margin: float | None = None
    """Keep a candidate only if the positive's score is above its own by at least this share of the positive's absolute
    score (TopK-PercPos of NV-Retriever, Moreira et al. 2024, at 1 - this share)."""
    scorer: str | None = None
    """Scores that the margins compare: folder or hub id of a trained cross-encoder or bi-encoder, or ``source`` for the
    candidate's own run. If that run did not retrieve the positive, its candidates stay and the query is counted as
    ``not_compared``."""
    min_score: float | None = field(default=None, metadata={"absent_at": None})
    """Lowest score of a candidate in its own run; null for no bound. Each source of a mixture is held against it."""
    max_score: float | None = field(default=None, metadata={"absent_at": None})
    """Highest score of a candidate in its own run; null for no bound."""

    def __post_init__(self) -> None:
        for name, value in (("near_duplicate", self.near_duplicate), ("twin_query", self.twin_query)):
            if value is not None and not 0 < value <= 1:
                raise ExperimentError(f"negatives.filter.{name} is {value}: it must be null, or above 0 and at most 1")
        for name in ("absolute_margin", "min_score", "max_score"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ExperimentError(f"negatives.filter.{name} is {value}: it must be null or a finite number")
        if self.min_score is not None and self.max_score is not None and self.min_score > self.max_score:
            raise ExperimentError(
                f"negatives.filter.min_score is {self.min_score}, above max_score={self.max_score}: no candidate has "
                f"such a score"
            )
        if self.relative_margin is not None and not 0 <= self.relative_margin < math.inf:
            raise ExperimentError(
                f"negatives.filter.relative_margin is {self.relative_margin}: it must be null, or finite and at least 0"
            )
        check_path("negatives.filter.scorer", self.scorer)
        if self.compares_scores and not self.scorer:
            key = "absolute_margin" if self.absolute_margin is not None else "relative_margin"
            raise ExperimentError(
                f"negatives.filter.{key} needs negatives.filter.scorer: the folder or hub id of a trained model, or "
                f"{RUN_SCORES} for the scores of the source's run"
            )

    @property
    def compares_scores(self) -> bool:
        """Whether a margin is set."""
        return self.absolute_margin is not None or self.relative_margin is not None

    @property
    def reads_run_scores(self) -> bool:
        """Whether candidates need a score in their own run."""
        of_margins = self.compares_scores and self.scorer == RUN_SCORES
        return of_margins or self.min_score is not None or self.max_score is not None

    @property
    def model(self) -> str | None:
        """Folder or hub id of the model whose scores are needed; None for no model."""
        return self.scorer if self.compares_scores and self.scorer != RUN_SCORES else None


@dataclass  # not frozen: OmegaConf makes frozen classes read-only, overrides included
class NegativeRule:
    """A sampling rule.

    In a mixture, ``skip``, ``depth`` and ``pool`` apply to each source: "bm25+colbert" with depth 100 has up to 200
    candidates. ``short`` counts the different candidates of all sources together.
    """

    count: int = 7
    """Negatives of a group, 1 to 31; of a list in run order its passages less one, 1 to 99."""
    depth: int = 100
    """Deepest rank of a candidate in the source's run. Passages judged ``exclude_grade`` or better, positives and
    filtered passages are no candidates."""
    skip: int = 0
    """First ranks of the run that are left out."""
    pool: int | None = None
    """Draw from a fixed random subset of that many candidates per query (Gao 2021: 10 of the top 100); null for all."""
    draw: str = field(default=UNIFORM, metadata={"absent_at": UNIFORM})
    """How a negative is chosen among the candidates: ``uniform``, all alike; ``top``, the best ranked; ``log_random``,
    with a weight of 1 / ln(1 + rank); ``stratified``, from each stratum of the candidates' scores in turn; or
    ``run_order``, not at all: a group is the first ``count`` + 1 passages of the run, positives where they are."""
    strata: int | None = field(default=None, metadata={"absent_at": None})
    """Strata of ``draw=stratified``, of equal width in score; null for as many as negatives. A set number makes a
    smaller draw the beginning of a larger one."""
    without_positive: str = field(default="error", metadata={"absent_at": "error"})
    """A list in run order without a positive: ``error``; ``add``, which puts one in the place of the last passage; or
    ``keep``, for losses that need none."""
    replacement: bool = False
    """Whether a passage may be drawn twice for one group (Pradeep 2022)."""
    redraw: str = "epoch"
    """Draw new negatives each ``epoch``, or ``never``."""
    positives: str = "all"
    """Positives of the training: ``all`` judged relevant, or only the ``retrieved`` ones within ``depth`` of a single
    source (Pradeep 2022)."""
    short: str = "error"
    """For a query with fewer candidates than ``count``: ``error`` stops before training, ``replacement`` draws some
    twice (Gao 2021), ``drop`` omits the query; both are counted."""
    exclude_grade: int = 1
    """Lowest judged grade that is never drawn; at 1 with ``data.min_grade=2``, a passage judged 1 is neither positive
    nor negative. The retriever ``judged`` finds the passages judged below it."""
    filter: NegativeFilter = field(default_factory=NegativeFilter)
    """Filter of candidates that may be relevant."""
    source: str = "bm25"
    """The retriever whose run is sampled from, or several that take turns, such as ``bm25+colbert``."""

    def __post_init__(self) -> None:
        self._check_count()
        at_least("negatives.depth", self.depth, 1)
        if not 0 <= self.skip < self.depth:
            raise ExperimentError(
                f"negatives.skip is {self.skip}: it must be at least 0 and below negatives.depth ({self.depth})"
            )
        if self.pool is not None and self.pool < 1:
            raise ExperimentError(f"negatives.pool is {self.pool}: it must be null or at least 1")
        self._check_draw()
        one_of("negatives.redraw", self.redraw, REDRAW)
        one_of("negatives.positives", self.positives, POSITIVES)
        one_of("negatives.short", self.short, SHORT)
        window = self.depth - self.skip if self.pool is None else min(self.pool, self.depth - self.skip)
        room = window * len(set(sources_of(self.source)))
        if room < self.count and not self.replacement and self.short == "error":
            raise ExperimentError(
                f"negatives.count is {self.count}, but the rule leaves at most {room} candidates a query: raise "
                f"negatives.depth or negatives.pool, or set negatives.replacement=true or negatives.short=replacement"
            )

    def _check_draw(self) -> None:
        one_of("negatives.draw", self.draw, DRAWS)
        if self.replacement and self.draw not in WITH_REPLACEMENT:
            raise ExperimentError(
                f"negatives.replacement=true draws a passage twice by chance, which negatives.draw={self.draw} leaves "
                f"none: set negatives.replacement=false, or negatives.draw to one of {', '.join(WITH_REPLACEMENT)}"
            )
        if self.strata is not None and self.draw != STRATIFIED:
            raise ExperimentError(
                f"negatives.strata={self.strata} has no effect with negatives.draw={self.draw}: set it to null, or "
                f"negatives.draw={STRATIFIED}"
            )
        at_least("negatives.strata", self.strata, 1)
        one_of("negatives.without_positive", self.without_positive, WITHOUT_POSITIVE)
        if self.draw == RUN_ORDER:
            self._check_list()
        elif self.without_positive != "error":
            raise ExperimentError(
                f"negatives.without_positive={self.without_positive} has no effect with negatives.draw={self.draw}: "
                f"set it to error, or negatives=from_run_order"
            )

    def _check_count(self) -> None:
        of_lists = self.draw == RUN_ORDER
        if not MIN_COUNT <= self.count <= (MAX_LIST - 1 if of_lists else MAX_COUNT):
            raise ExperimentError(
                f"negatives.count is {self.count}: a list in run order has {MIN_COUNT + 1} to {MAX_LIST} passages, one "
                f"more than negatives.count"
                if of_lists
                else f"negatives.count is {self.count}: a group has {MIN_COUNT} to {MAX_COUNT} negatives; lists of up "
                f"to {MAX_LIST} passages have negatives=from_run_order"
            )

    def _check_list(self) -> None:
        """Refuse settings that a list in run order would ignore."""
        unused = {field.name: False if field.name == "copies" else None for field in fields(NegativeFilter)}
        for key, value, plain in (
            *((f"filter.{name}", getattr(self.filter, name), plain) for name, plain in unused.items()),
            ("skip", self.skip, 0),
            ("pool", self.pool, None),
            ("positives", self.positives, "all"),
        ):
            if value != plain:
                written = "null" if plain is None else str(plain).lower()
                raise ExperimentError(
                    f"negatives.{key}={value} has no effect on lists in run order: set it to {written}"
                )
        if self.short == "replacement":
            raise ExperimentError(
                "negatives.short=replacement: a list in run order repeats no passage; set it to error or drop"
            )
        if len(sources_of(self.source)) > 1:
            raise ExperimentError(
                f"negatives.source={self.source} has several orders: a list in run order has one source"
            )
        if self.depth <= self.count:
            raise ExperimentError(
                f"negatives.depth is {self.depth}: lists of {self.count + 1} passages need it to be at least as much"
            )
