"""Report an audit of negatives: a table of shares, a list of the worst pairs, and plain rows for CSV and W&B."""

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from experiments.common.text import plural
from experiments.reporting.names import proper_name, source_name
from experiments.reporting.tables.render import to_csv, to_markdown
from experiments.reporting.tables.table import Table
from experiments.reporting.tables.terminal import listing_of, print_tables

if TYPE_CHECKING:
    from experiments.negatives.false_negative_audit import Cell, FalseNegativeAudit, WorstPair

# Sign of a false negative -> its column.
HEADS = {
    "exact_duplicate": "same %",
    "near_duplicate": "near %",
    "judged_relevant": "judged %",
    "twin_query": "twin %",
    "above_positive": "above %",
    "suspicious": "any %",
}
COUNTS = ("source", "depth", "queries", "left_out", "drawn", "distinct")
PAIR = (
    "query", "twin", "positive", "negative", "signs", "similarity", "negative_score", "positive_score", "source",
    "rank", "query_id", "negative_id",
)  # fmt: skip


def audit_table(audit: "FalseNegativeAudit") -> Table:
    """Return one row per source and depth; scores only if computed, numbers of queries only if they differ."""
    scored = audit.margin is not None
    signs = [head for sign, head in HEADS.items() if scored or sign != "above_positive"]
    queries = ["queries"] if len({cell.queries for cell in audit.cells}) > 1 else []
    columns = ["source", "depth", *queries, "distinct", *signs, "95 % interval", *(["gap"] if scored else [])]
    sources = [cell.source for cell in audit.cells]
    return Table(
        title=f"Suspicious negatives, {audit.data}",
        columns=tuple(columns),
        rows=tuple(tuple(_texts(cell)[column] for column in columns) for cell in audit.cells),
        words=frozenset({"source"}),
        labels=2,
        breaks=frozenset(i for i in range(len(sources) - 1) if sources[i] != sources[i + 1]),
        notes=tuple(_notes(audit)),
    )


def _texts(cell: "Cell") -> dict[str, str]:
    any_sign = cell.shares["suspicious"]
    return {
        "source": source_name(cell.source),
        "depth": f"{cell.depth:,}",
        "queries": f"{cell.queries:,}",
        "distinct": f"{cell.distinct:,}",
        **{HEADS[sign]: f"{100 * share.mean:.2f}" for sign, share in cell.shares.items()},
        "95 % interval": f"[{100 * any_sign.low:.2f}, {100 * any_sign.high:.2f}]",
        "gap": "" if cell.score_gap is None else f"{cell.score_gap.mean:.2f}",
    }


def _notes(audit: "FalseNegativeAudit") -> list[str]:
    alike = f"is alike, function words apart (Jaccard of word pairs, {audit.twin_query:g} or more)"
    if audit.twin_query == 1:
        alike = "asks the same in other function words"
    signs = [
        "same: the text of a positive, but for case and white space",
        f"near: word similarity (Jaccard) of {audit.near_duplicate:g} or more to a positive, the same text included",
        "judged: with a grade of at least 1, yet no positive",
        f"twin: relevant for another training query that {alike}",
    ]
    if audit.margin is not None:
        minus = f" minus {audit.margin:g}" if audit.margin else ""
        signs.append(f"above: scored above the best-scored positive{minus}, by {audit.scorer}")
        signs.append("gap: the best positive's score minus the negative's, mean")
    queries = max(cell.queries for cell in audit.cells)
    notes = [f"{audit.count} negatives for each of {queries:,} queries, from each source and depth."]
    if left_out := max(cell.left_out for cell in audit.cells):
        notes.append(f"Up to {plural(left_out, 'query', 'queries')} with too few candidates left out.")
    return [
        *notes,
        f"Shares of a query's negatives, mean over queries. {'; '.join(signs)}.",
        "any: any of these, with its 95 % interval, bootstrap over queries.",
        "A suspicion is no proof: read the pairs.",
    ]


def cell_rows(audit: "FalseNegativeAudit") -> tuple[list[str], list[list[Any]]]:
    """Return columns and one row per source and depth: counts, shares from 0 to 1 (None if unscored), intervals."""
    columns = list(COUNTS)
    for sign in HEADS:
        columns += [sign, f"{sign}_share", f"{sign}_low", f"{sign}_high"]
    unknown = (None, None, None)
    rows = []
    for cell in audit.cells:
        row = [getattr(cell, name) for name in COUNTS]
        for sign in HEADS:
            share = cell.shares.get(sign)
            row += [cell.counts.get(sign), *((share.mean, share.low, share.high) if share else unknown)]
        gap = cell.score_gap
        rows.append([*row, *((gap.mean, gap.low, gap.high) if gap else unknown)])
    return [*columns, "score_gap", "score_gap_low", "score_gap_high"], rows


def pair_rows(audit: "FalseNegativeAudit") -> tuple[list[str], list[list[Any]]]:
    """Return columns and one row per suspicious pair, the worst first."""
    named = [{**vars(pair), "signs": ", ".join(pair.signs)} for pair in audit.worst]
    return list(PAIR), [[pair[column] for column in PAIR] for pair in named]


def print_audit(audit: "FalseNegativeAudit", console: Console, pairs: int = 5) -> None:
    """Print the table and the worst ``pairs``."""
    print_tables([audit_table(audit)], console)
    for number, pair in enumerate(audit.worst[:pairs], 1):
        console.print(Text(f"{number}. {_why(pair)}", style="bold"))
        console.print(listing_of((f"   {name}", text) for name, text in _pair_texts(pair)))


def _why(pair: "WorstPair") -> str:
    signs = ", ".join(sign.replace("_", " ") for sign in pair.signs)
    scores = ""
    if pair.negative_score is not None and pair.positive_score is not None:
        scores = f"; scored {pair.negative_score:.2f}, best positive {pair.positive_score:.2f}"
    similarity = f"similarity to the positive {pair.similarity:.2f}"
    place = "from" if pair.rank is None else f"rank {pair.rank} of"
    return f"{signs}; {similarity}{scores}; {place} {proper_name(pair.source)}"


def _pair_texts(pair: "WorstPair") -> list[tuple[str, str]]:
    twin = [("twin", pair.twin)] if pair.twin is not None else []
    return [("query", pair.query), *twin, ("positive", pair.positive), ("negative", pair.negative)]


def audit_files(audit: "FalseNegativeAudit") -> dict[str, str]:
    """Return the files of an audit's report: name -> text."""
    return {
        "negatives.md": audit_markdown(audit),
        "negatives.csv": to_csv(*cell_rows(audit)),
        "negatives_worst.csv": to_csv(*pair_rows(audit)),
    }


def audit_markdown(audit: "FalseNegativeAudit") -> str:
    """Return the table and the worst pairs as GitHub-flavoured Markdown."""
    parts = [to_markdown(audit_table(audit))]
    if audit.worst:
        parts.append(f"## The {len(audit.worst)} most suspicious pairs, at most one a query")
    for number, pair in enumerate(audit.worst, 1):
        texts = [f"   - {name}: {_code(text)}" for name, text in _pair_texts(pair)]
        parts.append("\n".join([f"{number}. {_why(pair)} (query `{pair.query_id}`)", *texts]))
    return "\n\n".join(parts) + "\n"


def _code(text: str) -> str:
    """Return a text as one line of Markdown code."""
    text = " ".join(text.split())
    fence = "`" * (text.count("`") + 1)
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"
