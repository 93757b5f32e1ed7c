"""Write tables as Markdown, LaTeX, HTML and CSV; ``terminal.py`` prints them."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from experiments.reporting.tables.table import Table

LATEX = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
NUMBER = re.compile(r"(<)?([-+]?[\d,]*\.?\d+)([kMGTPE])?")
SIZES = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
BADGES = ("supported", "contradicted", "undecided", "missing")
FAINT = ("other data", "not measured", "unknown", "-")


def to_markdown(table: Table) -> str:
    """Return a table as GitHub-flavoured Markdown, under its title and above its notes."""
    ruler = ["---" if name in table.words else "---:" for name in table.columns]
    rows = ([" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in (table.columns, ruler, *table.rows))
    lines = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    return "\n\n".join(filter(None, (f"## {table.title}", lines, table.caption)))


def to_latex(table: Table, label: str) -> str:
    """Return a table as a LaTeX float with booktabs rules. ``label``: its name for ``\\ref``."""
    alignment = "".join("l" if name in table.words else "r" for name in table.columns)
    if table.prose:
        alignment = "".join(rf"p{{{0.9 / len(table.columns):.2f}\linewidth}}" for _ in table.columns)
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_latex(table.title)}. {_latex(table.caption)}}}",
        rf"  \label{{tab:{label}}}",
        rf"  \begin{{tabular}}{{{alignment}}}",
        r"    \toprule",
        f"    {_latex_row(table.columns)}",
        r"    \midrule",
    ]
    for number, row in enumerate(table.rows):
        lines.append(f"    {_latex_row(row)}")
        if number in table.breaks and number + 1 < len(table.rows):
            lines.append(r"    \midrule")
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    row = " & ".join(_latex(cell.strip()) for cell in cells)
    # LaTeX would take a bracket or a star after the row before for an argument of its line end.
    return ("{}" if row.startswith(("[", "*")) else "") + row + r" \\"


def _latex(text: str) -> str:
    """Escape a text for LaTeX, on one line: an empty line would end a caption."""
    return "".join(LATEX.get(character, character) for character in " ".join(text.split()))


def latex_comment(text: str) -> str:
    """Return a text as a comment of LaTeX, which ends with its line."""
    return f"% {_latex(text)}"


def latex_label(text: str) -> str:
    r"""Return a text as a name for ``\ref``, of letters, digits, hyphens and points alone."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-") or "study"


def to_html(table: Table) -> str:
    """Return a table as sortable HTML in a box that scrolls, with its notes below."""
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    body = _html_list(table) if table.prose else _html_table(table)
    return body + (f'\n<ul class="notes">{notes}</ul>' if notes else "")


def _html_table(table: Table) -> str:
    words = [name in table.words for name in table.columns]
    head = "".join(
        f'<th scope="col"{_class("word" if word else "")}>{escape(name)}</th>'
        for name, word in zip(table.columns, words, strict=True)
    )
    lines = [
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(table.title)}">',
        f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>',
    ]
    for row in table.rows:
        cells = (_html_cell(text, word) for text, word in zip(row, words, strict=True))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</tbody></table></div>"])


def _html_cell(text: str, word: bool) -> str:
    order = text.strip().lower() if word else order_of(text)
    known = "" if order in ("", "-", None) else f' data-order="{escape(str(order))}"'
    classes = " ".join(filter(None, ("word" if word else "", "faint" if text in FAINT else "")))
    return f"<td{_class(classes)}{known}>{escape(text.strip())}</td>"


def _html_list(table: Table) -> str:
    """Return rows of sentences as a list: the row's labels, then each column's name and text."""
    items = []
    for row in table.rows:
        columns = ""
        for name, text in zip(table.columns[table.labels :], row[table.labels :], strict=True):
            value = f'<span class="badge {text}">{text}</span>' if text in BADGES else escape(text)
            columns += f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>"
        items.append(f'<li><p class="says">{escape(", ".join(row[: table.labels]))}</p><dl>{columns}</dl></li>')
    return "\n".join(['<ol class="claims">', *items, "</ol>"])


def _class(names: str) -> str:
    return f' class="{names}"' if names else ""


def order_of(text: str) -> float | None:
    """Return the first number in a cell, its sort key: 12.8e6 for ``12.8M``; None without one."""
    number = NUMBER.search(text)
    if number is None:
        return None
    return 0.0 if number[1] else float(number[2].replace(",", "")) * SIZES.get(number[3], 1.0)


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return columns and rows of plain values as CSV; None is an empty cell."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return file.getvalue()
