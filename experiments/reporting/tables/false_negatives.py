"""An audit of negatives as a table: in the terminal, as Markdown, as CSV, and as plain rows for a tracker.

The printed table has shares, with the interval of the last one; rows and CSV have counts and every interval.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.common.cache import write_atomic
from experiments.common.text import proper_name
from experiments.config.negatives import sources_of
from experiments.negatives.false_negative_audit import SIGNS, Cell, FalseNegativeAudit, WorstPair

HEADS = {
    "exact_duplicate": "same %",
    "near_duplicate": "near %",
    "judged_relevant": "judged %",
    "twin_query": "twin %",
    "above_positive": "above %",
    "suspicious": "any %",
}

Plain = list[list[str | int | float | None]]


def source_name(source: str) -> str:
    """A source as it is written in prose: ``BM25 + ColBERT`` for ``bm25+colbert``."""
    return " + ".join(proper_name(name) for name in sources_of(source))


def cell_rows(audit: FalseNegativeAudit) -> tuple[list[str], Plain]:
    """(columns, rows) of all cells, unrounded; shares are 0 to 1. What needs scores is None where there are none."""
    columns = ["source", "depth", "queries", "left_out", "drawn", "distinct"]
    for sign in SIGNS:
        columns += [sign, f"{sign}_share", f"{sign}_low", f"{sign}_high"]
    columns += ["score_gap", "score_gap_low", "score_gap_high"]
    return columns, [_plain(cell) for cell in audit.cells]


def _plain(cell: Cell) -> list[str | int | float | None]:
    row: list[str | int | float | None] = [
        cell.source, cell.depth, cell.queries, cell.left_out, cell.drawn, cell.distinct,
    ]  # fmt: skip
    for sign in SIGNS:
        share = cell.shares.get(sign)
        row += [cell.counts.get(sign), *((share.mean, share.low, share.high) if share else (None, None, None))]
    gap = cell.score_gap
    return [*row, *((gap.mean, gap.low, gap.high) if gap else (None, None, None))]


def pair_rows(audit: FalseNegativeAudit) -> tuple[list[str], Plain]:
    """(columns, rows) of the most suspicious pairs, the worst first."""
    columns = ["query", "twin", "positive", "negative", "signs", "similarity", "negative_score", "positive_score"]
    rows: Plain = [
        [
            pair.query,
            pair.twin,
            pair.positive,
            pair.negative,
            ", ".join(pair.signs),
            pair.similarity,
            pair.negative_score,
            pair.positive_score,
            pair.source,
            pair.rank,
            pair.query_id,
            pair.negative_id,
        ]
        for pair in audit.worst
    ]
    return [*columns, "source", "rank", "query_id", "negative_id"], rows


def csv_text(table: tuple[list[str], Plain]) -> str:
    """Columns and rows as CSV."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table[0])
    writer.writerows(table[1])
    return file.getvalue()


def heading(audit: FalseNegativeAudit) -> str:
    """The title."""
    return f"Suspicious negatives, {audit.data}"


def caption(audit: FalseNegativeAudit) -> str:
    """How the cells were drawn and what the columns mean."""
    signs = [
        "same: the text of a positive, but for case and white space",
        f"near: word similarity (Jaccard) of {audit.near_duplicate:g} or more to a positive, the same text included",
        "judged: with a grade of at least 1, yet no positive",
        f"twin: relevant for another training query that {_alike(audit.twin_query)}",
    ]
    if audit.margin is not None:
        less = f" less {audit.margin:g}" if audit.margin else ""
        signs.append(f"above: scored above the best-scored positive{less}, by {audit.scorer}")
        signs.append("gap: the best positive's score less the negative's, mean")
    left_out = max(cell.left_out for cell in audit.cells)
    some = f" Up to {left_out:,} queries have too few candidates and are left out." if left_out else ""
    queries = max(cell.queries for cell in audit.cells)
    return (
        f"{audit.count} negatives for each of {queries:,} queries, from each source and depth.{some} "
        f"Shares of a query's negatives, mean over queries. {'; '.join(signs)}. "
        "any: any of these, with its 95 % interval, bootstrap over queries. A suspicion is no proof: read the pairs."
    )


def _alike(threshold: float) -> str:
    if threshold == 1:
        return "asks the same in other function words"
    return f"is alike, function words apart (Jaccard of word pairs, {threshold:g} or more)"


def header(audit: FalseNegativeAudit) -> list[str]:
    """The printed columns; those of scores only where there are any, the queries only where cells differ in them."""
    scored = audit.margin is not None
    signs = [HEADS[sign] for sign in SIGNS if scored or sign != "above_positive"]
    queries = ["queries"] if len({cell.queries for cell in audit.cells}) > 1 else []
    return ["source", "depth", *queries, "distinct", *signs, "95 % interval", *(["gap"] if scored else [])]


def rows(audit: FalseNegativeAudit) -> list[list[str]]:
    """The cells as text, in the columns of ``header``."""
    return [_row(cell, header(audit)) for cell in audit.cells]


def _row(cell: Cell, columns: Sequence[str]) -> list[str]:
    last = cell.shares["suspicious"]
    texts = {
        "source": source_name(cell.source),
        "depth": f"{cell.depth:,}",
        "queries": f"{cell.queries:,}",
        "distinct": f"{cell.distinct:,}",
        **{HEADS[sign]: _percent(share.mean) for sign, share in cell.shares.items()},
        "95 % interval": f"[{_percent(last.low)}, {_percent(last.high)}]",
        "gap": "" if cell.score_gap is None else f"{cell.score_gap.mean:.2f}",
    }
    return [texts[column] for column in columns]


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def print_audit(audit: FalseNegativeAudit, console: Console, pairs: int = 5) -> None:
    """Print the table, how to read it, and the worst ``pairs``."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    if not console.is_terminal:  # into a file nothing is cut
        console.width = max(console.width, 120)
    for name in header(audit):
        table.add_column(Text(name), justify="left" if name == "source" else "right")
    texts = rows(audit)
    for row, following in zip(texts, [*texts[1:], [""]], strict=True):
        table.add_row(*map(Text, row), end_section=row[0] != following[0])
    console.print(Text(f"{heading(audit)}\n", style="bold"))
    console.print(table)
    console.print(Text(f"\n{caption(audit)}\n", style="dim"))
    for number, pair in enumerate(audit.worst[:pairs], 1):
        console.print(Text(f"{number}. {_what(pair)}", style="bold"))
        listing = Table.grid(padding=(0, 2, 0, 0))
        for term, text in _texts(pair):
            listing.add_row(Text(f"   {term}", style="dim"), Text(text))
        console.print(listing)


def _what(pair: WorstPair) -> str:
    said = [
        ", ".join(sign.replace("_", " ") for sign in pair.signs),
        f"similarity to the positive {pair.similarity:.2f}",
    ]
    if pair.negative_score is not None and pair.positive_score is not None:
        said.append(f"scored {pair.negative_score:.2f}, best positive {pair.positive_score:.2f}")
    return f"{'; '.join(said)}; rank {pair.rank} of {proper_name(pair.source)}"


def _texts(pair: WorstPair) -> list[tuple[str, str]]:
    twin = [("twin", pair.twin)] if pair.twin is not None else []
    return [("query", pair.query), *twin, ("positive", pair.positive), ("negative", pair.negative)]


def markdown(audit: FalseNegativeAudit) -> str:
    """The table and all of the worst pairs as GitHub-flavoured Markdown."""
    columns = header(audit)
    ruler = ["---" if name == "source" else "---:" for name in columns]
    lines = ["| " + " | ".join(line) + " |" for line in (columns, ruler, *rows(audit))]
    parts = [f"# {heading(audit)}", "\n".join(lines), caption(audit)]
    if audit.worst:
        parts.append(f"## The {len(audit.worst)} most suspicious pairs, at most one a query")
    for number, pair in enumerate(audit.worst, 1):
        texts = [f"   - {term}: {_code(text)}" for term, text in _texts(pair)]
        parts.append("\n".join([f"{number}. {_what(pair)} (query `{pair.query_id}`)", *texts]))
    return "\n\n".join(parts) + "\n"


def _code(text: str) -> str:
    """A text on one line, so fenced that nothing in it is read as Markdown."""
    text = " ".join(text.split())
    fence = "`" * (text.count("`") + 1)
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"


def write_report(audit: FalseNegativeAudit, folder: Path) -> list[Path]:
    """Write ``negatives.md``, ``negatives.csv``, ``negatives_worst.csv`` and the picture; the paths written."""
    from experiments.reporting.plots.false_negatives import draw_audit

    texts = {
        folder / "negatives.md": markdown(audit),
        folder / "negatives.csv": csv_text(cell_rows(audit)),
        folder / "negatives_worst.csv": csv_text(pair_rows(audit)),
    }
    for path, text in texts.items():
        write_atomic(path, text)
    return [*texts, *draw_audit(audit, folder)]
