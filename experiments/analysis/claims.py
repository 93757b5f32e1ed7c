"""Judge claims about a study's cells: supported, contradicted, undecided or missing.

A claim usually covers several pairs of cells, such as LCE against BCE at every number of negatives. It is

- contradicted if a pair (of a trend: a step) is significantly the other way, Holm-corrected for the claim's pairs, or
  the average over the pairs is;
- supported if that average is significant in the claimed direction, Holm-corrected for all claims, and nothing
  contradicts;
- undecided if it is neither, or if no setting has more than one seed;
- missing if no finished cells can be compared.

All tests are at 5 %, over queries and seeds (``experiments.evaluation.comparison``). A trend is a slope per doubling of
a label, or per layer, averaged over the settings of all other labels. "Within a margin" is supported by two one-sided
tests and contradicted by a difference significantly beyond the margin.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from experiments.analysis.contrasts import LAYER, ClaimContrasts, Contrast, find, worded
from experiments.analysis.settings import SettingResult
from experiments.common.text import difference, p_value, plural
from experiments.config.paper_table import Claim
from experiments.evaluation.comparison import LEVEL, QUERIES, Comparison, beyond, equivalence, needed
from experiments.evaluation.significance import holm

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
UNDECIDED = "undecided"
MISSING = "missing"


class Pair(NamedTuple):
    """One comparison of a claim. ``labels``: where it differs from the others; ``p_holm``: corrected for them."""

    labels: Mapping[str, Any]
    comparison: Comparison
    p_holm: float


@dataclass(frozen=True)
class Verdict:
    """Verdict on one claim.

    ``estimate``: average difference over ``pairs``, or a trend's slope; None if ``missing``. ``p_holm``: corrected for
    all claims. ``needs``: the estimate in words and what would decide the claim, or which cells are missing.
    """

    claim: Claim
    state: str
    estimate: Comparison | None
    pairs: tuple[Pair, ...]
    needs: str
    p_holm: float | None = None


def judge(
    claims: Sequence[Claim],
    settings: Sequence[SettingResult],
    layers: Sequence[SettingResult],
    stand_ins: Mapping[str, str],
) -> list[Verdict]:
    """Return a verdict on each claim, in order; ``stand_ins`` as in ``label_matching.matches``.

    Raises:
        ExperimentError: a claim covers cells measured on different queries, or a trend over numbers without a
            logarithm; the message names the claim.
    """
    contrasts = [find(claim, layers if claim.of == "layers" else settings, stand_ins) for claim in claims]
    raw = [
        equivalence(average.comparison, average.margin) if claim.kind == "within" else average.comparison.p
        for claim, average in zip(claims, (contrast.average for contrast in contrasts), strict=True)
        if average
    ]
    corrected = iter(holm(raw))
    return [
        _verdict(claim, contrast, contrast.average, float(next(corrected)), len(raw))
        if contrast.average is not None
        else Verdict(claim, MISSING, None, (), contrast.lacking)
        for claim, contrast in zip(claims, contrasts, strict=True)
    ]


def _verdict(claim: Claim, found: ClaimContrasts, average: Contrast, p_holm: float, tested: int) -> Verdict:
    corrected = holm([_p_against(claim, pair) for pair in found.pairs])
    pairs = tuple(Pair(raw.labels, raw.comparison, float(p)) for raw, p in zip(found.pairs, corrected, strict=True))
    against = [pair for pair, raw in zip(pairs, found.pairs, strict=True) if _against(claim, raw, pair.p_holm)]
    if against or _against(claim, average, _p_against(claim, average) if claim.kind == "within" else p_holm):
        state = CONTRADICTED
    elif p_holm <= LEVEL and (claim.kind == "within" or _towards(claim, average.comparison) > 0):
        state = SUPPORTED
    else:
        state = UNDECIDED
    alone = average.comparison.over == QUERIES
    one_seed = "One" if state == UNDECIDED else f"Over queries alone it is {state}, but one"
    one_seed += " seed a setting says nothing of others: run it with several (seed=1,2,3)."
    sentences = [
        _estimated(claim, average, state, p_holm, tested),
        *([f"The other way: {_of(against[0])}."] if against and len(pairs) > 1 else []),
        *([_would_decide(claim, average, tested)] if state == UNDECIDED and not alone else []),
        *([found.lacking] if found.lacking else []),
        *([one_seed] if alone else []),
    ]
    state = UNDECIDED if alone else state  # a difference without its spread over seeds is no finding
    return Verdict(claim, state, average.comparison, pairs, " ".join(sentences), p_holm)


def _p_against(claim: Claim, contrast: Contrast) -> float:
    """Return the p value for contradicting a claim, if the contrast points that way."""
    return beyond(contrast.comparison, contrast.margin) if claim.kind == "within" else contrast.comparison.p


def _against(claim: Claim, contrast: Contrast, p: float) -> bool:
    return p <= LEVEL and (claim.kind == "within" or _towards(claim, contrast.comparison) < 0)


def _towards(claim: Claim, comparison: Comparison) -> float:
    """Return the estimate, positive in the direction claimed."""
    return -comparison.mean if claim.kind == "falls" else comparison.mean


def _estimated(claim: Claim, average: Contrast, state: str, p_holm: float, tested: int) -> str:
    """Write the estimate, with the p value behind its state."""
    estimate = average.comparison
    unit = margin = ""
    if claim.over is not None:
        unit = " a layer" if claim.over == LAYER else f" per doubling of {worded(claim.over)}"
    shown = f"p {p_value(p_holm)}" + (f" (corrected for {tested} claims)" if tested > 1 else "")
    if claim.kind == "within":
        margin = f" within {average.margin:.3f}"
        shown = f"p {p_value(_p_against(claim, average))} (beyond the margin)" if state == CONTRADICTED else shown
    seeds = f" and {plural(estimate.seeds, 'seed')}" if estimate.over != QUERIES else ""
    return (
        f"{difference(estimate.mean, estimate.low, estimate.high)}{unit}{margin}, {shown}, "
        f"over {plural(estimate.queries, 'query', 'queries')}{seeds}."
    )


def _of(pair: Pair) -> str:
    labels = ", ".join(f"{worded(name)} {value}" for name, value in pair.labels.items())
    return f"{labels}: {difference(pair.comparison.mean, pair.comparison.low, pair.comparison.high)}"


def _would_decide(claim: Claim, average: Contrast, tested: int) -> str:
    """Say how many seeds or queries would find the observed difference with 80 % power."""
    estimate, level, size = average.comparison, LEVEL / tested, average.comparison.mean
    if claim.kind == "within":
        size = average.margin - abs(estimate.mean)
        level *= 2 if size > 0 else 1  # equivalence is tested on one side
    take = needed(estimate, size, level)
    seeds = f"{take.seeds} seeds" if take.seeds is not None else None
    queries = f"{_round_up(take.queries):,} queries" if take.queries is not None else None
    wrong = "It points the other way. " if claim.kind != "within" and _towards(claim, estimate) < 0 else ""
    if seeds or queries:
        return f"{wrong}About {' or '.join(filter(None, (seeds, queries)))} would decide it, were this its true size."
    return f"{wrong}No number of seeds or queries within reach would decide it: it is too small for its spread."


def _round_up(number: int) -> int:
    """Round up to two significant digits."""
    unit = int(10 ** max(0, int(math.log10(number)) - 1))
    return math.ceil(number / unit) * unit
