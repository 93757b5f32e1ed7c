"""Turn the rounds of a line into what is kept of it: medians, ratios and their spread, as plain data for JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from benchmarks.harness.line import Contestant, Line, Recorded


@dataclass(frozen=True)
class Rounds:
    """What was measured of a line, by the label of the contestant."""

    timings: Mapping[str, Sequence[Mapping[str, float]]]
    """``wall``, ``cpu`` and ``units`` of each round."""
    versions: Mapping[str, Mapping[str, str]]
    differences: Mapping[str, float]
    """Largest difference to our results."""
    correlations: Mapping[str, float] = field(default_factory=dict)
    """Rank correlation with our results."""

    def seconds(self, label: str, clock: str) -> list[float]:
        """Return the seconds of a unit in each round."""
        return [round_[clock] / round_["units"] for round_ in self.timings[label]]


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Return how many times as long theirs take: by the medians, and the least and the greatest of a round."""
    by_round = [other / own for own, other in zip(ours, theirs, strict=True)]
    return {"ratio": median(theirs) / median(ours), "least": min(by_round), "greatest": max(by_round)}


def spearman(ours: Any, theirs: Any) -> float:
    """Return the rank correlation of two arrays of as many distinct values."""
    ranks = [np.argsort(np.argsort(np.ravel(values))) for values in (ours, theirs)]
    return float(np.corrcoef(*ranks)[0, 1])


def row_of(line: Line, other: Contestant | Recorded, rounds: Rounds) -> dict[str, Any]:
    """Return a row of the table: ours against one other."""
    ours = rounds.seconds(line.ours.label, line.clock)
    row: dict[str, Any] = {"against": other.label, "ours": median(ours)}
    if isinstance(other, Recorded):
        row |= {"theirs": other.seconds, **ratio_of(ours, [other.seconds] * len(ours)), "source": other.source}
    else:
        theirs = rounds.seconds(other.label, line.clock)
        row |= {"theirs": median(theirs), **ratio_of(ours, theirs)}
        second = "wall" if line.clock == "cpu" else "cpu"
        own, others = rounds.seconds(line.ours.label, second), rounds.seconds(other.label, second)
        row[f"{second}_ratio"] = median(others) / median(own)
        if other.packages and other.packages[0] in rounds.versions[other.label]:
            row["version"] = rounds.versions[other.label][other.packages[0]]
        if other.label in rounds.differences:
            row |= {"difference": rounds.differences[other.label], "tolerance": other.tolerance}
        if other.label in rounds.correlations:
            row["rank_correlation"] = rounds.correlations[other.label]
    return {**row, "target": other.target, "met": met(row["ratio"], other.target, row["ours"], line.seconds_at_most)}


def met(ratio: float, target: float | None, seconds: float, at_most: float | None) -> bool | None:
    """Return whether all targets of a row are met; None if it has none."""
    if target is None and at_most is None:
        return None
    return (target is None or ratio >= target) and (at_most is None or seconds <= at_most)


def flops_of(timings: Sequence[Mapping[str, float]]) -> float:
    """Return the floating-point operations a second of rounds that report them: the median."""
    return median(round_["flops"] / round_["wall"] for round_ in timings)


def record_of(line: Line, rounds: Rounds, measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a line. ``measured``: command, date, machine and threads."""
    return {
        "title": line.title,
        "unit": line.unit,
        "clock": line.clock,
        "seconds_at_most": line.seconds_at_most,
        "equal": line.equal,
        "note": line.note,
        "rows": [row_of(line, other, rounds) for other in line.against],
        **({"flops": flops_of(rounds.timings[line.ours.label])} if line.flops else {}),
        **measured,
        "versions": {label: dict(own) for label, own in rounds.versions.items()},
        "rounds": {
            label: [{key: round(value, 4) for key, value in own.items()} for own in timings]
            for label, timings in rounds.timings.items()
        },
    }
