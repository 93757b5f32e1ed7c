"""How a query's negatives are chosen, as data. The presets of the papers are the files of ``conf/negatives``."""

from dataclasses import dataclass

from experiments.errors import ExperimentError

MIN_COUNT, MAX_COUNT = 1, 31
POSITIVES = ("all", "retrieved")
REDRAW = ("epoch", "never")
SHORT = ("error", "replacement", "drop")


@dataclass  # not frozen: OmegaConf makes frozen classes read-only, overrides included
class NegativeRule:
    """A sampling rule.

    ``count``: negatives a group, 1 to 31. ``skip`` and ``depth``: the candidates are ranks skip + 1 to depth of the
    source's run, less every passage judged relevant. ``pool``: keep a fixed random sub-set of that many candidates per
    query and draw from it only (Gao 2021: 10 of the top 100); None keeps all. ``replacement``: whether a passage may be
    drawn twice for one group (Pradeep 2022). ``redraw``: new negatives each ``epoch``, or ``never``. ``positives``:
    ``all`` that are judged relevant, or only the ``retrieved`` ones among ranks 1 to depth (Pradeep 2022). ``short``:
    what to do with a query that has fewer candidates than ``count``: stop with an ``error`` before training, draw with
    ``replacement`` for it (Gao 2021), or ``drop`` it; both exceptions are counted and logged.
    """

    count: int = 7
    depth: int = 100
    skip: int = 0
    pool: int | None = None
    replacement: bool = False
    redraw: str = "epoch"
    positives: str = "all"
    short: str = "error"

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
        room = self.depth - self.skip if self.pool is None else min(self.pool, self.depth - self.skip)
        if room < self.count and not self.replacement and self.short == "error":
            raise ExperimentError(
                f"negatives.count is {self.count}, but the rule leaves at most {room} candidates a query: raise "
                f"negatives.depth or negatives.pool, or set negatives.replacement=true or negatives.short=replacement"
            )
