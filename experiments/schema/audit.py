"""What ``python -m experiments.audit`` looks at; training does not read it."""

from dataclasses import dataclass, field

from experiments.errors import ExperimentError
from experiments.schema.ranges import at_least


@dataclass
class Audit:
    """An audit of the negatives that the rule would draw.

    ``sources``: retrievers and mixtures to compare; empty for ``negatives.source`` alone. ``depths``: how deep
    candidates are taken from. ``queries``: training queries looked at, null for all. ``near_duplicate``: the Jaccard
    similarity to a positive from which a negative counts as its near-duplicate. ``scorer``: the folder or hub id of a
    trained model, null for none; a negative counts that this model puts above the positive less ``margin``. ``worst``:
    pairs listed with their texts.
    """

    sources: list[str] = field(default_factory=list)
    depths: list[int] = field(default_factory=lambda: [10, 50, 100])
    queries: int | None = 2000
    near_duplicate: float = 0.8
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
        if not 0 < self.near_duplicate <= 1:
            raise ExperimentError(f"audit.near_duplicate is {self.near_duplicate}: it must be above 0 and at most 1")
