"""Print tables whole at any width: wrap headers, then split the columns into parts, then list the rows.

Output is ASCII, except for rules (which rich replaces if needed), so that a table can be piped anywhere.
"""

from collections.abc import Iterable, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from experiments.reporting.tables.table import Table

GAP = 3  # characters between two columns
FOLD = 24  # characters from which a word can be folded


def print_tables(tables: Sequence[Table], console: Console, widen: bool = True) -> None:
    """Print tables below each other. ``widen``: give a file or pipe the width of the widest table."""
    shown = [table.only([i for i, name in enumerate(table.columns) if name not in table.details]) for table in tables]
    if widen and not console.is_terminal:
        console.width = max(console.width, *(_total(_natural(table)) for table in shown if not table.prose), 0)
    for table in shown:
        console.print(Text(f"{table.title}\n", style="bold"))
        for part in parts_of(table, console.width):
            console.print(part)
            console.print()
        if table.notes:
            console.print(Text(f"{table.caption}\n"))


def parts_of(table: Table, width: int) -> list[RichTable]:
    """Return the table, its parts or its rows as a list, so that no cell is cut at ``width``."""
    if table.prose:
        return [_listed(table)]
    least = _least(table)
    groups: list[list[int]] = [[]]
    names = list(range(table.labels))
    room = width - _total(least[: table.labels])
    left = room
    for place in range(table.labels, len(table.columns)):
        if left < GAP + least[place] and groups[-1]:
            groups.append([])
            left = room
        groups[-1].append(place)
        left -= GAP + least[place]
        if left < 0:
            return [_listed(table)]
    return [_ruled(table.only([*names, *group]), width) for group in groups]


def listing_of(rows: Iterable[Sequence[str]], style: str = "") -> RichTable:
    """Return names and their texts in columns without rules or headers."""
    listing = RichTable.grid(padding=(0, 2, 0, 0))
    for first, *texts in rows:
        listing.add_row(Text(first, style=style or "dim"), *(Text(text, style=style) for text in texts))
    for column in listing.columns:
        column.overflow = "fold"
    return listing


def _listed(table: Table) -> RichTable:
    """Return the rows as a list: the row's labels, then each column's name and text."""
    listing = RichTable.grid(padding=(0, 2, 0, 0))
    for row in table.rows:
        listing.add_row(Text(", ".join(filter(None, row[: table.labels])), style="bold"))
        texts = zip(table.columns[table.labels :], row[table.labels :], strict=True)
        listing.add_row(listing_of((f"  {name}", text.strip()) for name, text in texts))
        listing.add_row("")
    return listing


def _ruled(table: Table, width: int) -> RichTable:
    """Return the table with columns of their natural width, narrowed to wrapped headers if needed."""
    widths, natural = _least(table), _natural(table)
    for place in sorted(range(len(widths)), key=lambda place: table.columns[place] not in table.words):
        widths[place] += max(0, min(natural[place] - widths[place], width - _total(widths)))
    ruled = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, columns in zip(table.columns, widths, strict=True):
        justify = "left" if name in table.words else "right"
        ruled.add_column(Text(name), justify=justify, width=columns, overflow="fold", vertical="top")  # type: ignore[arg-type]
    for number, row in enumerate(table.rows):
        ruled.add_row(*map(Text, row), end_section=number in table.breaks)
    return ruled


def _natural(table: Table) -> list[int]:
    """Return the width of each column on one line."""
    return [max(map(cell_len, column)) for column in zip(table.columns, *table.rows, strict=True)]


def _least(table: Table) -> list[int]:
    """Return the smallest width of each column: numbers stay whole, words and headers wrap."""
    widths = []
    for name, *cells in zip(table.columns, *table.rows, strict=True):
        head = max(map(cell_len, name.split()), default=0)
        longest = max((cell_len(word) for cell in cells for word in cell.split()), default=0)
        whole = max(map(cell_len, cells), default=0)
        widths.append(max(head, min(FOLD, longest) if name in table.words else whole))
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * max(0, len(widths) - 1)
