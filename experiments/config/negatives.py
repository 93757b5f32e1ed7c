"""How a query's negatives are chosen, as data. The presets of the papers are the files of ``conf/negatives``."""

import math
from dataclasses import dataclass, field

from experiments.common.errors import ExperimentError

MIN_COUNT, MAX_COUNT = 1, 31
POSITIVES = ("all", "retrieved")
REDRAW = ("epoch", "never")
SHORT = ("error", "replacement", "drop")
RUN_SCORES = "source"  # the scorer that is the source's own run


def sources_of(source: str) -> tuple[str, ...]:
    """The retrievers whose runs take turns in a group, in the order of their turns: ``"bm25+colbert"`` is
    ``("bm25", "colbert")``. A name that stands twice has two turns: ``"bm25+bm25+colbert"`` draws two thirds from BM25.

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
    """Which candidates are dropped before any is drawn, because they may be relevant although nobody judged them so.

    ``copies``: drop a candidate that has the very text of any positive of the query, white space aside: it is as right
    an answer as that one. ``near_duplicate``: drop a candidate whose text is at least this similar (Jaccard similarity
    of word shingles, above 0 to 1) to *any* positive of the query. ``twin_query``: drop a candidate that is judged
    relevant for another training query at least this similar (Jaccard similarity of pairs of words without function
    words, above 0 to 1; 1 is the same content words in the same order). ``absolute_margin``: keep a candidate only if
    its score is at most the positive's minus this margin; a negative margin lets candidates stand somewhat above it.
    ``relative_margin``: keep a candidate only if the positive's score is above its own by at least this share of the
    positive's absolute score (TopK-PercPos of NV-Retriever, Moreira et al. 2024, at 1 - this share; written with the
    absolute value, as in ``mine_hard_negatives`` of sentence-transformers, so that it holds for negative scores too).

    ``scorer``: whose scores the margins compare: the folder or hub id of a trained cross-encoder or bi-encoder, or
    ``source`` for the scores of the run that the candidate stands in. A positive that this run did not retrieve has no
    score there: such a query keeps all of its candidates from that run, and is counted as ``not_compared``. Without a
    margin no scorer is loaded.

    Where a query has several positives the margins compare with the best-scored one. Relevance is a matter of degree,
    and judges mark partial answers too: a candidate above the weakest of several positives is nothing unusual, and to
    ask for less than the weakest would throw away exactly the hard negatives wherever a scorer misreads one positive.
    A candidate that comes near the *best* is what a missed judgement looks like. (sentence-transformers compares with
    the lowest-scored and so drops more.)
    """

    copies: bool = True
    near_duplicate: float | None = None
    twin_query: float | None = None
    absolute_margin: float | None = None
    relative_margin: float | None = None
    scorer: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("near_duplicate", self.near_duplicate), ("twin_query", self.twin_query)):
            if value is not None and not 0 < value <= 1:
                raise ExperimentError(f"negatives.filter.{name} is {value}: it must be null, or above 0 and at most 1")
        if self.absolute_margin is not None and not math.isfinite(self.absolute_margin):
            raise ExperimentError(
                f"negatives.filter.absolute_margin is {self.absolute_margin}: it must be null or a finite number"
            )
        if self.relative_margin is not None and not 0 <= self.relative_margin < math.inf:
            raise ExperimentError(
                f"negatives.filter.relative_margin is {self.relative_margin}: it must be null, or finite and at least 0"
            )
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
    def model(self) -> str | None:
        """The folder or hub id of the model whose scores are needed; None if none is."""
        return self.scorer if self.compares_scores and self.scorer != RUN_SCORES else None


@dataclass  # not frozen: OmegaConf makes frozen classes read-only, overrides included
class NegativeRule:
    """A sampling rule.

    ``source``: the retriever whose run is sampled from, or several that take turns (see ``sources_of``). ``count``:
    negatives a group, 1 to 31. ``skip`` and ``depth``: the candidates are ranks skip + 1 to depth of the source's run,
    less every passage judged ``exclude_grade`` or better, every positive (``data.min_grade``), and what ``filter``
    drops. ``pool``: keep a fixed random sub-set of that many
    candidates per query and draw from it only (Gao 2021: 10 of the top 100); None keeps all. ``replacement``: whether a
    passage may be drawn twice for one group (Pradeep 2022). ``redraw``: new negatives each ``epoch``, or ``never``.
    ``positives``: ``all`` that are judged relevant, or only the ``retrieved`` ones among ranks 1 to depth (Pradeep
    2022). ``short``: what to do with a query that has fewer candidates than ``count``: stop with an ``error`` before
    training, draw with ``replacement`` for it (Gao 2021), or ``drop`` it; both exceptions are counted and logged.
    ``exclude_grade``: the lowest judged grade that is never drawn; at 1 a passage judged 1 is no negative where
    ``data.min_grade=2`` makes it no positive either. What is judged below it is what the retriever ``judged`` finds.

    Of a mixture ``skip``, ``depth`` and ``pool`` are those of each source: "bm25+colbert" with depth 100 has up to 200
    candidates. ``positives: retrieved`` asks for one source that retrieved the positive, and ``short`` looks at the
    different candidates of all sources together.
    """

    count: int = 7
    depth: int = 100
    skip: int = 0
    pool: int | None = None
    replacement: bool = False
    redraw: str = "epoch"
    positives: str = "all"
    short: str = "error"
    exclude_grade: int = 1
    filter: NegativeFilter = field(default_factory=NegativeFilter)
    source: str = "bm25"

    def __post_init__(self) -> None:
        if not MIN_COUNT <= self.count <= MAX_COUNT:
            raise ExperimentError(f"negatives.count is {self.count}: a group has {MIN_COUNT} to {MAX_COUNT} negatives")
        if self.depth < 1:
            raise ExperimentError(f"negatives.depth is {self.depth}: it must be at least 1")
        if not 0 <= self.skip < self.depth:
            raise ExperimentError(
                f"negatives.skip is {self.skip}: it must be at least 0 and below negatives.depth ({self.depth})"
            )
        if self.pool is not None and self.pool < 1:
            raise ExperimentError(f"negatives.pool is {self.pool}: it must be null or at least 1")
        for key, value, allowed in (
            ("redraw", self.redraw, REDRAW),
            ("positives", self.positives, POSITIVES),
            ("short", self.short, SHORT),
        ):
            if value not in allowed:
                raise ExperimentError(f"negatives.{key} is {value!r}: it must be one of {', '.join(allowed)}")
        window = self.depth - self.skip if self.pool is None else min(self.pool, self.depth - self.skip)
        room = window * len(set(sources_of(self.source)))
        if room < self.count and not self.replacement and self.short == "error":
            raise ExperimentError(
                f"negatives.count is {self.count}, but the rule leaves at most {room} candidates a query: raise "
                f"negatives.depth or negatives.pool, or set negatives.replacement=true or negatives.short=replacement"
            )
