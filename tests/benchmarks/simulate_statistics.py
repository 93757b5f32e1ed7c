"""Write docs/statistics_simulated.md: how often simulated studies of known truth are judged wrongly, and rightly.

    make statistics        # or: PYTHONPATH=tests python tests/benchmarks/simulate_statistics.py [FILE]

Every row has generator seeds of its own, so that a test can make it again. Some three minutes on one core.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from helpers.many_studies import Moments, contrasts, judged, moments
from helpers.simulated import CLAIMS, KINDS, results_of, six_settings, two_settings
from numpy.typing import NDArray

from experiments.analysis.claims import UNDECIDED, judge
from experiments.evaluation.comparison import LEVEL, needed_range

FloatArray = NDArray[np.float64]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "statistics_simulated.md"
SEEDS = (1, 2, 3, 5)
QUERIES = (100, 300)
COMPARISONS, STUDIES, POWER_STUDIES, UNDECIDED_STUDIES, CURVE_STUDIES = 2_000, 1_000, 500, 300, 200
SDS = (0.0, 0.02, 0.05)
EFFECTS = {
    ("all", 0.0): "none",
    ("all", 0.02): "sd .02",
    ("all", 0.05): "sd .05",
    ("three", 0.05): "sd .05 in three of six",
    ("one", 0.05): "sd .05 in one of six",
    ("rankings", 0.0): "eight rankings, share 0",
    ("rankings", 0.3): "eight rankings, share .3",
    ("rankings", 1.0): "eight rankings, share 1",
}
CELLS = (*((*effect, queries) for effect in EFFECTS for queries in QUERIES), ("one", 0.05, 1_000))
GAINS, POWER_SDS = (0.03, 0.05, 0.1), (0.01, 0.02, 0.05)
TWO_GAIN, TWO_SDS = 0.037, (0.0, 0.005, 0.02)
PLANNED = ((0.0, 0.02), (0.02, 0.02), (0.03, 0.02), (0.05, 0.05))
PLANNED_SEEDS = (2, 3)
CURVE = (2, 3, 4, 6, 9, 14, 22, 35, 60, 100)  # seeds
START = 2026

TOP = """# Statistics, simulated

<!-- written by tests/benchmarks/simulate_statistics.py -->
How often the project declares a difference where there is none, and finds one that is there. `make statistics` writes
this page with the tests that judge real studies; a test of the project makes some of its rows again. What the tests do
and why: [Statistics](statistics.md).

Rates are in per cent, their standard errors in brackets. Values are RR@10 of simulated ranks that depend on the query,
the setting, the seed and all three together, with a fifth of zeros; "sd" is that of a setting's mean over seeds.
Generator: numpy's PCG64, seed {start}.
"""
TWO = """## Two settings of equal quality

Comparisons with p at most .05, of {times:,} (nominal: 5), at 100 and 300 queries. "two": two settings; "shared": half
of the variance over seeds is common to both; "uneven": seeds matter in one of the two; "fixed": a setting and a first
stage. With one seed the comparison is over queries, which is why its row has no star.

| seeds | sd | {heads} |
|---:|---:|{rule}|
"""
POWER = """## Two settings, one better by .037

Comparisons with p at most .05, of {times:,}, at 300 queries.

| seeds | {heads} |
|---:|{rule}|
"""
STUDY = """## Studies of six equal settings and two claims

{{LCE, BCE}} x {{1, 3, 7}} negatives with the claims of the quickstart, "LCE beats BCE" and "fewer negatives are
better", on systems of equal quality: the share of {times:,} studies with any verdict other than undecided (nominal: at
most 5). With one seed there is none.

"Eight rankings": a training draws one of eight rankings, whose quality has the sd .08, and keeps to it on a share of
the queries; on the others it has the value of any of the eight. At share 1 two seeds of a setting are the same ranking
one time in eight, and their own variance is 0.

| seeds matter | queries | {heads} |
|---|---:|{rule}|
"""
TABLE = """## The same studies' tables

"*": at least one of the six rows, compared with a first stage of the same quality, has a star (26 if the rows were
independent). "Holm": at least one corrected p is at most .05 (nominal: at most 5). **With one seed neither is shown:
the column says what they would be over queries alone.**

| seeds matter | queries | {heads} |
|---|---:|{rule}|
"""
FOUND = """## Studies with a true difference

LCE is better than BCE at every number of negatives, at 300 queries: the share of {times:,} studies that support "LCE
beats BCE", and that contradict a claim (which is false of this one, and of the other where nothing differs).

| difference | sd | {heads} |
|---:|---:|{rule}|
"""
DECIDE = """## What a number of seeds that "would decide it" is worth

Of {times:,} studies, those that leave "LCE beats BCE" undecided: how many are told a range of seeds, how many its lower
end only ("4 or more seeds"), and how many nothing (the difference is within its own noise, or no number up to 100 would
do). Then the power, as a share, that a study of as many seeds really has, at the lower and at the upper end of the
range: its lower quartile and median over these studies. The power is that of {curve:,} studies each at {numbers} seeds.

| difference | sd | seeds | undecided | range | lower end only | nothing | power, lower end | power, upper end |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|
"""


def rate(hits: NDArray[np.bool_]) -> str:
    """A share in per cent with its standard error."""
    share = float(np.mean(hits))
    return f"{100 * share:.1f} ({100 * (share * (1 - share) / len(hits)) ** 0.5:.1f})"


def row(*cells: object) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def generator_of(*numbers: float) -> np.random.Generator:
    """The generator of a cell, by whole numbers and thousandths."""
    return np.random.default_rng([START, *(round(1000 * number) for number in numbers)])


def compared(kind: str, seeds: int, queries: int, sd: float, times: int, gain: float = 0.0) -> NDArray[np.bool_]:
    """Which of ``times`` comparisons of two settings declare a difference."""
    generator = generator_of(1, KINDS.index(kind), seeds, queries, sd, gain)
    drawn = moments(two_settings(generator, kind, seeds, queries, sd, gain) for _ in range(times))
    return drawn.p_values([1.0, -1.0], pooled=False)[1] <= LEVEL


def studies(effect: str, seeds: int, queries: int, size: float, times: int, gain: float = 0.0) -> Moments:
    """The moments of ``times`` studies."""
    number = sorted({effect for effect, _ in EFFECTS}).index(effect)
    generator = generator_of(2, number, seeds, queries, size, gain)
    drawn = (six_settings(generator, effect, seeds, queries, size, gain) for _ in range(times))
    return moments([*values_CSQ, first_stage_Q[None]] for values_CSQ, first_stage_Q in drawn)


def two_row(seeds: int, sd: float) -> str:
    cells = [rate(compared(kind, seeds, queries, sd, COMPARISONS)) for kind in KINDS for queries in QUERIES]
    return row(seeds, f"{sd:g}", *cells)


def power_row(seeds: int) -> str:
    return row(seeds, *(rate(compared("two", seeds, 300, sd, STUDIES, TWO_GAIN)) for sd in TWO_SDS))


def study_rows(effect: str, size: float, queries: int) -> tuple[str, str]:
    """The rows of one effect of seeds in the table of verdicts and in that of marks."""
    found = [judged(studies(effect, seeds, queries, size, STUDIES)) for seeds in SEEDS]
    name = EFFECTS[effect, size]
    return (
        row(name, queries, *(rate((one.supported_NA | one.contradicted_NA).any(axis=1)) for one in found[1:])),
        row(name, queries, *(cell for one in found for cell in (rate(one.marked_N), rate(one.holm_N)))),
    )


def found_row(gain: float, sd: float) -> str:
    found = [judged(studies("all", seeds, 300, sd, POWER_STUDIES, gain)) for seeds in SEEDS[1:]]
    cells = (cell for one in found for cell in (rate(one.supported_NA[:, 0]), rate(one.contradicted_NA.any(axis=1))))
    return row(f"{gain:g}", f"{sd:g}", *cells)


def curve(gain: float, sd: float) -> FloatArray:
    """The power of studies of ``CURVE`` seeds to support the first of two claims."""
    average = contrasts()[0][0]
    powers = []
    for seeds in CURVE:
        mean, p = studies("all", seeds, 300, sd, CURVE_STUDIES, gain).p_values(average, pooled=True)
        powers.append(np.mean((p <= LEVEL / len(CLAIMS)) & (mean > 0)))
    return np.array(powers)


def decide_rows(gain: float, sd: float) -> Iterator[str]:
    power = curve(gain, sd)
    for seeds in PLANNED_SEEDS:
        generator = generator_of(3, seeds, sd, gain)
        undecided, ends = 0, []
        for _ in range(UNDECIDED_STUDIES):
            values_CSQ, _ = six_settings(generator, "all", seeds, 300, sd, gain)
            verdict = judge(CLAIMS, results_of(values_CSQ), [], {})[0]
            if verdict.state != UNDECIDED or verdict.estimate is None:
                continue
            undecided += 1
            level = LEVEL / len(CLAIMS) / (1 if verdict.estimate.mean > 0 else 2)
            sizes = needed_range(verdict.estimate, level=level)
            if sizes is not None and sizes[0].seeds is not None:
                ends.append((sizes[0].seeds, sizes[1].seeds))
        closed = [most for _, most in ends if most is not None]
        shares = [len(closed), len(ends) - len(closed), undecided - len(ends)]
        yield row(
            f"{gain:g}",
            f"{sd:g}",
            seeds,
            rate(np.arange(UNDECIDED_STUDIES) < undecided),
            *(rate(np.arange(undecided) < share) for share in shares),
            _quartiles(power, [fewest for fewest, _ in ends]),
            _quartiles(power, closed),
        )


def _quartiles(power: FloatArray, seeds: Sequence[int]) -> str:
    if not seeds:
        return "-"
    lower, median = np.quantile(np.interp(np.log(seeds), np.log(CURVE), power), (0.25, 0.5))
    return f"{lower:.2f}, {median:.2f}"


def _headed(template: str, heads: Sequence[str], times: int) -> str:
    return template.format(times=times, heads=" | ".join(heads), rule="|".join(["---:"] * len(heads)))


def page() -> str:
    """The whole page."""
    of_seeds = [f"{seeds} seeds" for seeds in SEEDS[1:]]
    both = [study_rows(*cell) for cell in CELLS]
    marks = [f"{name}, {seeds}" for seeds in ("1 seed", *of_seeds) for name in ("*", "Holm")]
    found = [f"{name}, {seeds}" for seeds in of_seeds for name in ("supported", "contradicted")]
    sections = [
        (
            _headed(TWO, [f"{kind}, {queries}" for kind in KINDS for queries in QUERIES], COMPARISONS),
            [two_row(seeds, sd) for seeds in SEEDS for sd in SDS],
        ),
        (_headed(POWER, [f"sd {sd:g}" for sd in TWO_SDS], STUDIES), [power_row(seeds) for seeds in SEEDS[1:]]),
        (_headed(STUDY, of_seeds, STUDIES), [verdicts for verdicts, _ in both]),
        (_headed(TABLE, marks, STUDIES), [marked for _, marked in both]),
        (_headed(FOUND, found, POWER_STUDIES), [found_row(gain, sd) for gain in GAINS for sd in POWER_SDS]),
        (
            DECIDE.format(times=UNDECIDED_STUDIES, curve=CURVE_STUDIES, numbers=", ".join(map(str, CURVE))),
            [line for planned in PLANNED for line in decide_rows(*planned)],
        ),
    ]
    return "\n".join([TOP.format(start=START), *(head + "\n".join(rows) + "\n" for head, rows in sections)])


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else PAGE).write_text(page(), encoding="utf-8")
