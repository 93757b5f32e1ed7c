"""What was published beside what was measured, and the claims with their verdicts, as tables."""

from collections.abc import Sequence

from experiments.analysis.claims import Verdict
from experiments.analysis.findings import Findings, Result
from experiments.common.text import p_value, signed, word
from experiments.config.paper_table import PaperTable, Published
from experiments.reporting.tables.table import Sheet

# How a published value is marked; the primary ones, read where their authors put them, are not.
MARKS = {"primary": "", "second-hand": " (second-hand)", "unknown": "unknown"}
CLAIMS_EXPLAINED = (
    "Supported or contradicted: significant at 5 % over queries and seeds, corrected for all claims and pairs (Holm); "
    "undecided: neither, or only one seed a setting."
)


def beside_sheet(findings: Findings) -> Sheet | None:
    """A row a published cell: its value, what was measured of it, and their difference; None where no cell is
    declared. Measured cells that stand in for another are named as they are.
    """
    table = findings.table
    if table is None or not table.published:
        return None
    labels = list(dict.fromkeys((*table.rows, *table.columns)))
    by_cell = {id(result.published): result for result in findings.results if result.published is not None}
    rows = [_row(cell, by_cell.get(id(cell)), labels, table) for cell in table.published]
    return Sheet(
        f"{table.title}: published and measured",
        (*labels, "published", "measured", "sd", "difference", "status"),
        tuple(rows),
        frozenset(labels) | {"status"},
        frozenset(i for i in range(len(rows) - 1) if rows[i][0] != rows[i + 1][0]),
        _caption(findings, table),
    )


def _row(cell: Published, result: Result | None, labels: Sequence[str], table: PaperTable) -> tuple[str, ...]:
    names = [_name(cell.where.get(label), result, label) for label in labels]
    published = "unknown" if cell.value is None else f"{cell.value:.3f}{MARKS[cell.mark]}"
    if result is None:
        return (*names, published, "-", "-", "-", "not measured")
    comparable = result.status in ("within", "outside")
    difference = signed(result.mean - cell.value) if comparable and cell.value is not None else "-"
    sd = "-" if result.cell.sd is None else f"{result.cell.sd:.3f}"
    return (*names, published, f"{result.mean:.3f}", sd, difference, result.status)


def _name(published: object, result: Result | None, label: str) -> str:
    measured = None if result is None else result.sample.labels.get(label)
    if measured is None or str(measured) == str(published):
        return word(published)
    return f"{word(published)} (here {measured})"


def _caption(findings: Findings, table: PaperTable) -> str:
    sentences = [f"{findings.measure}. Published: {table.source.rstrip('.')}."]
    if table.tolerance is not None:
        why = f" ({table.tolerance_source})" if table.tolerance_source else ""
        sentences.append(f"Within: at most {table.tolerance:g} apart{why}.")
    if any(result.status == "other data" for result in findings.results):
        sentences.append(
            f"Other data: measured elsewhere than the published values ({table.data or 'not said'}), or with a "
            f"stand-in; the values cannot be compared, the order of cells can."
        )
        if agreement := order_agreement(findings):
            sentences.append(agreement)
    if table.notes:
        sentences.append(" ".join(table.notes.split()))
    return " ".join(sentences)


def order_agreement(findings: Findings) -> str | None:
    """How far measured cells stand in the order of the published ones: Kendall's tau; None for fewer than three."""
    pairs = [
        (one.published.value, one.mean)
        for one in findings.results
        if one.published is not None and one.published.value is not None
    ]
    if len(pairs) < 3:
        return None
    from scipy.stats import kendalltau

    found = kendalltau(*zip(*pairs, strict=True))
    return f"Order of the {len(pairs)} cells: Kendall's tau {found.statistic:+.2f} (p {p_value(float(found.pvalue))})."


def claims_sheet(verdicts: Sequence[Verdict]) -> Sheet | None:
    """A row a claim, with its verdict in words; None without any."""
    if not verdicts:
        return None
    rows = tuple((verdict.claim.says, verdict.state, verdict.needs) for verdict in verdicts)
    columns = ("claim", "verdict", "difference, and what it would take")
    return Sheet("Claims", columns, rows, frozenset(columns), caption=CLAIMS_EXPLAINED)
