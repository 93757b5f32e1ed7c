"""A table of texts, whatever it says, and how it looks in a terminal, in Markdown and in LaTeX.

In the terminal only ASCII is written (rules apart, which rich replaces where it must), so that a table can be piped
anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

LATEX = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
}


@dataclass(frozen=True)
class Sheet:
    """``columns``: their names; ``rows``: a text for each of them; ``words``: the columns of words, set flush left;
    ``breaks``: numbers of the rows after which a rule stands; ``caption``: how to read it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[str] = frozenset()
    breaks: frozenset[int] = frozenset()
    caption: str = ""


def rich_sheet(sheet: Sheet) -> Table:
    """The table for a terminal, without title and caption."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in sheet.columns:
        table.add_column(Text(name), justify="left" if name in sheet.words else "right")
    for i, row in enumerate(sheet.rows):
        table.add_row(*map(Text, row), end_section=i in sheet.breaks)
    return table


def print_sheets(sheets: Sequence[Sheet], console: Console) -> None:
    """Print tables one under the other. Into a file nothing is cut or wrapped within a table: the width follows the
    widest one.
    """
    tables = [rich_sheet(sheet) for sheet in sheets]
    if not console.is_terminal:
        options = console.options.update(width=1000)
        console.width = max(
            console.width, *(Measurement.get(console, options, table).maximum for table in tables), 0
        )  # fmt: skip
    for sheet, table in zip(sheets, tables, strict=True):
        console.print(Text(f"{sheet.title}\n", style="bold"))
        console.print(table)
        if sheet.caption:
            console.print(Text(f"\n{sheet.caption}"))
        console.print()


def markdown_sheet(sheet: Sheet) -> str:
    """The table as GitHub-flavoured Markdown, under its title and above its caption."""
    ruler = ["---" if name in sheet.words else "---:" for name in sheet.columns]
    lines = [_markdown_row(line) for line in (sheet.columns, ruler, *sheet.rows)]
    return "\n\n".join(part for part in (f"## {sheet.title}", "\n".join(lines), sheet.caption) if part)


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.strip().replace("|", "\\|") for cell in cells) + " |"


def latex_sheet(sheet: Sheet, label: str) -> str:
    """The table as a LaTeX float with booktabs' rules. ``label``: what ``\\ref`` calls it by."""
    alignment = "".join("l" if name in sheet.words else "r" for name in sheet.columns)
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_latex(sheet.title)}. {_latex(sheet.caption)}}}",
        rf"  \label{{tab:{label}}}",
        rf"  \begin{{tabular}}{{{alignment}}}",
        r"    \toprule",
        f"    {_latex_row(sheet.columns)}",
        r"    \midrule",
    ]
    for i, row in enumerate(sheet.rows):
        lines.append(f"    {_latex_row(row)}")
        if i in sheet.breaks and i + 1 < len(sheet.rows):
            lines.append(r"    \midrule")
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(_latex(cell.strip()) for cell in cells) + r" \\"


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)
