"""What ``python -m experiments.audit`` and ``python -m experiments.retrieve`` look at; training does not read it."""

from dataclasses import dataclass, field

from experiments.common.errors import ExperimentError
from experiments.config.checks import at_least, one_of
from experiments.data.source import SPLITS


@dataclass
class Audit:
    """An audit of the negatives that the rule would draw.

    ``sources``: retrievers and mixtures to compare; empty for ``negatives.source`` alone. ``depths``: how deep
    candidates are taken from. ``queries``: training queries looked at, null for all. ``near_duplicate``: the Jaccard
    similarity to a positive from which a negative counts as its near-duplicate. ``twin_query``: the Jaccard similarity
    of two training queries from which what answers one counts against the other as a negative; at 1 they differ in
    nothing but function words. ``scorer``: the folder or hub id of a
    trained model, null for none; a negative counts that this model puts above the positive less ``margin``. ``worst``:
    pairs listed with their texts.
    """

    sources: list[str] = field(default_factory=list)
    depths: list[int] = field(default_factory=lambda: [10, 50, 100])
    queries: int | None = 2000
    near_duplicate: float = 0.9
    twin_query: float = 1.0
    scorer: str | None = None
    margin: float = 0.0
    worst: int = 20

    def __post_init__(self) -> None:
        if not self.depths:
            raise ExperimentError("audit.depths is empty: name at least one depth, such as [100]")
        for depth in self.depths:
            at_least("audit.depths", depth, 1)
        at_least("audit.queries", self.queries, 1)
        at_least("audit.worst", self.worst, 0)
        for name, value in (("near_duplicate", self.near_duplicate), ("twin_query", self.twin_query)):
            if not 0 < value <= 1:
                raise ExperimentError(f"audit.{name} is {value}: it must be above 0 and at most 1")


@dataclass
class Retrieve:
    """First stages measured on their own. ``split``: whose queries."""

    split: str = "test"

    def __post_init__(self) -> None:
        one_of("retrieve.split", self.split, SPLITS)
