"""Published values next to measured ones, and the verdicts on the study's claims."""

from collections.abc import Sequence

from experiments.analysis.claims import Verdict
from experiments.analysis.findings import Findings, Result
from experiments.common.text import decimals, interval, p_value, plural, signed
from experiments.config.paper_table import PaperTable, Published
from experiments.evaluation.measure_names import mean_name
from experiments.reporting.names import label_heading, phrase, proper_name, value_name
from experiments.reporting.tables.table import Table

# Suffix of a published value by its mark; a primary one was read in its authors' paper.
MARKS = {"primary": "", "second-hand": " (second-hand)"}
PLACES = ("data", "first_stage")  # columns if a published value was measured in several
OURS = "our own; the source does not say so"
CLAIM_NOTES = (
    "Supported or contradicted: significant at 5 % over queries and seeds, corrected for all claims and, where pairs "
    "contradict, for all pairs (Holm).",
    "Undecided: neither, or only one seed a setting. Missing: no finished jobs to compare.",
)


def published_table(findings: Findings) -> Table | None:
    """Return one row per published value and measurement; None if the study declares no value."""
    table = findings.table
    if table is None or not table.published:
        return None
    labels = list(dict.fromkeys((*table.rows, *table.columns)))
    measured = [result for result in findings.results if result.published is not None]
    places = [(result.group.data, result.group.first_stage) for result in measured]
    labels += [name for i, name in enumerate(PLACES) if name not in labels and len({place[i] for place in places}) > 1]
    rows = []
    for published in table.published:
        results: list[Result | None] = [result for result in measured if result.published is published]
        rows += [_row(published, result, labels, table) for result in results or [None]]
    return Table(
        title=f"{table.title}: published and measured",
        columns=(*map(label_heading, labels), "published", "measured", "sd", "difference", "status"),
        rows=tuple(rows),
        words=frozenset(map(label_heading, labels)) - {"n"} | {"status"},
        labels=len(labels),
        breaks=frozenset(i for i in range(len(rows) - 1) if rows[i][0] != rows[i + 1][0]),
        notes=tuple(_notes(findings, table)),
    )


def _row(published: Published, result: Result | None, labels: Sequence[str], table: PaperTable) -> tuple[str, ...]:
    value = "unknown" if published.value is None else f"{published.value:.3f}{MARKS.get(published.mark, '')}"
    if result is None:
        names = [value_name(label, published.where.get(label)) for label in labels]
        return (*names, value, "-", "-", "-", "not measured")
    names = [_name(label, result.setting.labels.get(label), published.where.get(label), table) for label in labels]
    difference = "-"
    if published.value is not None and result.status != "other data":
        difference = signed(result.mean - published.value).strip()
    return (*names, value, decimals(result.mean), decimals(result.setting.sd), difference, result.status)


def _name(label: str, measured: object, published: object, table: PaperTable) -> str:
    """Name a measured label's value, and the published value that it replaces."""
    if measured is None:
        return value_name(label, published)
    stands_in = str(measured) != str(published) and any(part in table.stand_ins for part in str(measured).split("+"))
    name = value_name(label, measured)
    return f"{name} (for {value_name(label, published)})" if stands_in and published is not None else name


def _notes(findings: Findings, table: PaperTable) -> list[str]:
    notes = [f"{mean_name(findings.measure)}. Published: {table.source.rstrip('.')}."]
    if any(published.mark == "second-hand" for published in table.published):
        notes.append("Second-hand: read in another text than the authors' own.")
    if table.tolerance is not None:
        why = f" ({table.tolerance_source.rstrip('.')})" if table.tolerance_source else ""
        notes.append(f"Within: at most {table.tolerance:g} apart{why}.")
    if any(result.status == "other data" for result in findings.results):
        notes.append(
            f"Other data: the published values are for {table.data or 'another collection'}, or for what a stand-in "
            "replaces here. The values cannot be compared, the order of the settings can."
        )
        notes += filter(None, [order_agreement(findings)])
    for measured, published in table.stand_ins.items():
        notes.append(f"{proper_name(measured)} stands in for {proper_name(published)}.")
    return [*notes, *([" ".join(table.notes.split())] if table.notes else [])]


def order_agreement(findings: Findings) -> str | None:
    """Report Kendall's tau between published and measured values; None for fewer than three."""
    pairs = [
        (result.published.value, result.mean)
        for result in findings.results
        if result.published is not None and result.published.value is not None
    ]
    if len(pairs) < 3:
        return None
    from scipy.stats import kendalltau

    tau = kendalltau(*zip(*pairs, strict=True))
    return f"Order of the {len(pairs)} settings: Kendall's tau {tau.statistic:+.2f} (p {p_value(float(tau.pvalue))})."


def claims_table(verdicts: Sequence[Verdict]) -> Table | None:
    """Return one row per claim with its verdict; None without claims."""
    if not verdicts:
        return None
    rows = tuple(
        (verdict.claim.says, verdict.state, verdict.needs, (verdict.claim.published or OURS).rstrip("."))
        for verdict in verdicts
    )
    columns = ("claim", "verdict", "found", "said by")
    return Table("Claims", columns, rows, frozenset(columns), notes=CLAIM_NOTES, prose=True)


def pair_table(verdict: Verdict) -> Table:
    """Return the comparisons behind a verdict."""
    rows = []
    for labels, difference, p_holm in verdict.pairs:
        name = ", ".join(phrase(label, value) for label, value in labels.items()) or "all settings"
        counts = f"{difference.wins}/{difference.ties}/{difference.losses}"
        bounds = interval(difference.low, difference.high)
        rows.append((name, signed(difference.mean).strip(), bounds, p_value(p_holm), counts))
    columns = ("compared at", "difference", "95 % interval", "p", "win/tie/loss")
    title = f"{verdict.claim.says}: {plural(len(rows), 'comparison')}"
    return Table(title, columns, tuple(rows), frozenset({"compared at"}))
