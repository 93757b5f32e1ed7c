"""Judge claims about a study's cells: supported, contradicted, undecided or missing.

A claim usually covers several pairs of cells, such as LCE against BCE at every number of negatives. It is

- contradicted if the average over its pairs is significantly the other way, Holm-corrected for all claims, or a pair
  (of a trend: a step) is, Holm-corrected for all pairs of all claims; each of the two ways has half of the 5 %;
- supported if that average is significant in the claimed direction, Holm-corrected for all claims, and nothing
  contradicts;
- undecided if it is neither, or if no setting has more than one seed;
- missing if no finished cells can be compared.

All tests are two-sided at 5 %, over queries and seeds (``experiments.evaluation.comparison``). A verdict needs one of
the two directions, so a study of equals has a false verdict in at most 5 % of cases (2.5 % supported, 2.5 %
contradicted) as far as each p value is right. No comparison of a claim takes the seeds to vary less than they do on
average over the claim's pairs: a pair whose two seeds are close by chance would otherwise look certain. Simulated
studies of six equal settings and two claims have a false verdict in 0.1 to 5.3 % (``docs/statistics_simulated.md``).

A trend is a slope per doubling of a label, or per layer, averaged over the settings of all other labels. "Within a
margin" is supported by two one-sided tests and contradicted by a difference significantly beyond the margin.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from experiments.analysis.contrasts import LAYER, ClaimContrasts, Contrast, find, worded
from experiments.analysis.settings import SettingResult
from experiments.common.text import difference, p_value, plural
from experiments.config.paper_table import Claim
from experiments.evaluation.comparison import LEVEL, Comparison, beyond, equivalence, needed_range
from experiments.evaluation.significance import FloatArray, holm

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
UNDECIDED = "undecided"
MISSING = "missing"
ONE_SEED = "One seed a setting says nothing of others: run it with several (seed=1,2,3)."


class Pair(NamedTuple):
    """One comparison of a claim. ``labels``: where it differs from the others.

    ``p_holm``: corrected for the pairs of all claims, and doubled because averages contradict too; None for one seed.
    """

    labels: Mapping[str, Any]
    comparison: Comparison
    p_holm: float | None


@dataclass(frozen=True)
class Verdict:
    """Verdict on one claim.

    ``estimate``: average difference over ``pairs``, or a trend's slope; None if ``missing``. ``p_holm``: corrected for
    all claims, of support, or of contradiction where the estimate points the other way; None for one seed. ``needs``:
    the estimate in words and what would decide the claim, or which cells are missing.
    """

    claim: Claim
    state: str
    estimate: Comparison | None
    pairs: tuple[Pair, ...]
    needs: str
    p_holm: float | None = None


@dataclass(frozen=True)
class _Tested:
    """A claim of several seeds with its corrected p values: of support, of contradiction by average and by pairs."""

    claim: Claim
    found: ClaimContrasts
    average: Contrast
    supports: float
    contradicts: float
    pairs: tuple[Pair, ...]


def judge(
    claims: Sequence[Claim],
    settings: Sequence[SettingResult],
    layers: Sequence[SettingResult],
    stand_ins: Mapping[str, str],
) -> list[Verdict]:
    """Return a verdict on each claim, in order; ``stand_ins`` as in ``label_matching.matches``.

    Raises:
        ExperimentError: a trend over numbers without a logarithm; the message names the claim.
    """
    contrasts = [find(claim, layers if claim.of == "layers" else settings, stand_ins) for claim in claims]
    tested = iter(
        corrected := _corrected(
            [
                (claim, found, found.average)
                for claim, found in zip(claims, contrasts, strict=True)
                if found.average is not None and found.average.comparison.over_seeds
            ]
        )
    )
    verdicts = []
    for claim, found in zip(claims, contrasts, strict=True):
        if found.average is None:
            verdicts.append(Verdict(claim, MISSING, None, (), found.lacking))
        elif not found.average.comparison.over_seeds:
            verdicts.append(_of_one_seed(claim, found, found.average))
        else:
            verdicts.append(_verdict(next(tested), len(corrected)))
    return verdicts


def _corrected(claims: Sequence[tuple[Claim, ClaimContrasts, Contrast]]) -> list[_Tested]:
    """Correct the p values of a study's claims for their number, and those of their pairs for all pairs."""
    supports = holm([_p_for(claim, average) for claim, _, average in claims])
    contradicts = _of_half_level(holm([_p_against(claim, average) for claim, _, average in claims]))
    by_pair = _of_half_level(holm([_p_against(claim, pair) for claim, found, _ in claims for pair in found.pairs]))
    ends = np.cumsum([len(found.pairs) for _, found, _ in claims], dtype=np.int64)
    return [
        _Tested(
            claim,
            found,
            average,
            float(supports[number]),
            float(contradicts[number]),
            tuple(
                Pair(pair.labels, pair.comparison, float(p))
                for pair, p in zip(found.pairs, by_pair[ends[number] - len(found.pairs) : ends[number]], strict=True)
            ),
        )
        for number, (claim, found, average) in enumerate(claims)
    ]


def _of_half_level(p_values: FloatArray) -> FloatArray:
    """Return p values to be compared with 5 % where they have half of it: averages and pairs both contradict."""
    return np.minimum(1.0, 2 * p_values)


def _of_one_seed(claim: Claim, found: ClaimContrasts, average: Contrast) -> Verdict:
    """Return the verdict on a claim whose settings have one seed each: undecided, without p values."""
    pairs = tuple(Pair(pair.labels, pair.comparison, None) for pair in found.pairs)
    sentences = (f"{_estimate(claim, average)}, {_sample(average.comparison)}.", found.lacking, ONE_SEED)
    return Verdict(claim, UNDECIDED, average.comparison, pairs, " ".join(filter(None, sentences)))


def _verdict(tested: _Tested, number: int) -> Verdict:
    """Decide about one of ``number`` claims."""
    claim, average, found = tested.claim, tested.average, tested.found
    within = claim.kind == "within"
    towards = _towards(claim, average.comparison) > 0
    against = [
        pair
        for pair in tested.pairs
        if pair.p_holm is not None and pair.p_holm <= LEVEL and (within or _towards(claim, pair.comparison) < 0)
    ]
    if against or (tested.contradicts <= LEVEL and (within or not towards)):
        state = CONTRADICTED
    elif tested.supports <= LEVEL and (within or towards):
        state = SUPPORTED
    else:
        state = UNDECIDED
    p_holm = tested.supports if (state != CONTRADICTED if within else towards) else tested.contradicts
    beyond_margin = " (beyond the margin)" if within and state == CONTRADICTED else ""
    corrected = f" (corrected for {number} claims)" if number > 1 and not beyond_margin else ""
    p = f"p {p_value(p_holm)}{beyond_margin}{corrected}"
    sentences = (
        f"{_estimate(claim, average)}, {p}, {_sample(average.comparison)}.",
        f"The other way: {_of(against[0])}." if against and len(tested.pairs) > 1 else "",
        _would_decide(claim, average, number) if state == UNDECIDED else "",
        found.lacking,
    )
    return Verdict(claim, state, average.comparison, tested.pairs, " ".join(filter(None, sentences)), p_holm)


def _p_for(claim: Claim, contrast: Contrast) -> float:
    """Return the p value for supporting a claim, if the contrast points that way."""
    within = claim.kind == "within"
    return equivalence(contrast.comparison, contrast.margin) if within else contrast.comparison.p


def _p_against(claim: Claim, contrast: Contrast) -> float:
    """Return the p value for contradicting a claim, if the contrast points that way."""
    return beyond(contrast.comparison, contrast.margin) if claim.kind == "within" else contrast.comparison.p


def _towards(claim: Claim, comparison: Comparison) -> float:
    """Return the estimate, positive in the direction claimed."""
    return -comparison.mean if claim.kind == "falls" else comparison.mean


def _estimate(claim: Claim, average: Contrast) -> str:
    """Write the estimate with its interval and its unit."""
    estimate = average.comparison
    unit = ""
    if claim.over is not None:
        unit = " a layer" if claim.over == LAYER else f" per doubling of {worded(claim.over)}"
    margin = f" within {average.margin:.3f}" if claim.kind == "within" else ""
    return f"{difference(estimate.mean, estimate.low, estimate.high)}{unit}{margin}"


def _sample(estimate: Comparison) -> str:
    seeds = f" and {plural(estimate.seeds, 'seed')}" if estimate.over_seeds else ", this seed only"
    return f"over {plural(estimate.queries, 'query', 'queries')}{seeds}"


def _of(pair: Pair) -> str:
    labels = ", ".join(f"{worded(name)} {value}" for name, value in pair.labels.items())
    return f"{labels}: {difference(pair.comparison.mean, pair.comparison.low, pair.comparison.high)}"


def _would_decide(claim: Claim, average: Contrast, number: int) -> str:
    """Say how many seeds or queries would find a difference of about the observed size with 80 % power."""
    estimate, size, level = average.comparison, average.comparison.mean, LEVEL / number
    wrong = claim.kind != "within" and _towards(claim, estimate) < 0
    if claim.kind == "within":
        size = average.margin - abs(estimate.mean)
        level *= 2 if size > 0 else 0.5  # equivalence is tested on one side
    elif wrong:
        level /= 2
    said = "It points the other way. " if wrong else ""
    sizes = needed_range(estimate, size, level)
    if sizes is None:
        what = "distance to the margin" if claim.kind == "within" else "difference"
        return f"{said}The {what} is within its own noise: no number of seeds can be named."
    fewest, most = sizes
    parts = [
        _span(fewest.seeds, most.seeds, "seeds"),
        _span(_round_up(fewest.queries), _round_up(most.queries), "queries"),
    ]
    if any(parts):
        return f"{said}About {' or '.join(filter(None, parts))} would decide it, were this about its true size."
    return f"{said}No number of seeds or queries within reach would decide it: it is too small for its spread."


def _span(fewest: int | None, most: int | None, unit: str) -> str:
    """Write a range: ``4 to 9 seeds``, ``4 or more seeds`` with the upper end out of reach; empty if both are."""
    if fewest is None:
        return ""
    if most is None:
        return f"{fewest:,} or more {unit}"
    return f"{fewest:,} {unit}" if fewest == most else f"{fewest:,} to {most:,} {unit}"


def _round_up(number: int | None) -> int | None:
    """Round up to two significant digits."""
    if number is None:
        return None
    unit = int(10 ** max(0, int(math.log10(number)) - 1))
    return math.ceil(number / unit) * unit
