"""Settings of ``python -m experiments.audit`` and ``python -m experiments.retrieve``; a training ignores them."""

from dataclasses import dataclass, field

from experiments.common.checks import at_least, one_of
from experiments.common.errors import ExperimentError
from experiments.config.values import check_path
from experiments.data.source import SPLITS


@dataclass
class Audit:
    """Settings of an audit of the negatives that the rule would draw."""

    sources: list[str] = field(default_factory=list)
    """Retrievers and mixtures to compare; empty for ``negatives.source`` alone."""
    depths: list[int] = field(default_factory=lambda: [10, 50, 100])
    """Depths of the candidates that negatives are drawn from, each at least 1."""
    queries: int | None = 2000
    """Training queries that are audited; null for all."""
    near_duplicate: float = 0.9
    """Jaccard similarity to a positive, above 0 and at most 1, from which a negative is a near-duplicate of it."""
    twin_query: float = 1.0
    """Jaccard similarity, above 0 and at most 1, from which two training queries are paraphrases: a passage relevant to
    one is a suspected false negative for the other. At 1 they differ in function words only."""
    scorer: str | None = None
    """Folder or hub id of a trained model; null for none."""
    margin: float = 0.0
    """A negative is suspected if its score by ``scorer`` is above the positive's minus this margin."""
    worst: int = 20
    """Suspected pairs that are listed with their texts."""

    def __post_init__(self) -> None:
        if not self.depths:
            raise ExperimentError("audit.depths is empty: name at least one depth, such as [100]")
        for depth in self.depths:
            at_least("audit.depths", depth, 1)
        at_least("audit.queries", self.queries, 1)
        at_least("audit.worst", self.worst, 0)
        check_path("audit.scorer", self.scorer)
        for name, value in (("near_duplicate", self.near_duplicate), ("twin_query", self.twin_query)):
            if not 0 < value <= 1:
                raise ExperimentError(f"audit.{name} is {value}: it must be above 0 and at most 1")


@dataclass
class Retrieve:
    """Settings of a measurement of first stages without a training."""

    split: str = "test"
    """Split of the queries: ``train``, ``dev`` or ``test``."""

    def __post_init__(self) -> None:
        one_of("retrieve.split", self.split, SPLITS)
