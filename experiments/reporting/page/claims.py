"""The claims of a study with their verdicts, as texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.analysis.findings import Findings
from experiments.common.text import interval, p_value, plural, signed
from experiments.evaluation.comparison import Comparison
from experiments.reporting.page.naming import phrase_of

OURS = "Our own; the source does not say so."


@dataclass(frozen=True)
class PairRow:
    """One of the comparisons that a verdict rests on."""

    name: str
    difference: str
    interval: str
    p: str
    counts: str


@dataclass(frozen=True)
class ClaimRow:
    """``source``: who says so. ``estimate``: the difference with its interval; empty without one. ``needs``: what
    follows it in words. ``over``: what the interval speaks about.
    """

    says: str
    source: str
    state: str
    estimate: str
    over: str
    needs: str
    pairs: tuple[PairRow, ...]


def claim_rows(findings: Findings) -> list[ClaimRow]:
    """A row a claim, in the order of the declaration."""
    rows = []
    for verdict in findings.verdicts:
        estimate, claim = verdict.estimate, verdict.claim
        found = _difference(estimate) if estimate is not None else ""
        source = f"Published: {claim.published.rstrip('.')}." if claim.published else OURS
        rows.append(
            ClaimRow(
                says=claim.says,
                source=source,
                state=verdict.state,
                estimate=found,
                over=_basis(estimate) if estimate is not None else "",
                needs=verdict.needs.removeprefix(found),
                pairs=tuple(_pair(labels, comparison, p_holm) for labels, comparison, p_holm in verdict.pairs),
            )
        )
    return rows


def _difference(found: Comparison) -> str:
    return f"{signed(found.mean).strip()} {interval(found.low, found.high)}"


def _basis(found: Comparison) -> str:
    seeds = f", {plural(found.seeds, 'seed', 'seeds')}" if found.seeds else ""
    return f"95 % interval over {found.over}: {plural(found.queries, 'query', 'queries')}{seeds}"


def _pair(labels: Mapping[str, Any], found: Comparison, p_holm: float | None) -> PairRow:
    return PairRow(
        name=", ".join(phrase_of(name, value) for name, value in labels.items()) or "all cells",
        difference=signed(found.mean).strip(),
        interval=interval(found.low, found.high),
        p=p_value(p_holm),
        counts=f"{found.wins} / {found.ties} / {found.losses}",
    )
