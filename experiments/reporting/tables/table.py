"""A table as data: what it says, whoever prints it."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Table:
    """Texts in rows and columns, and what a renderer needs to know of them.

    Attributes:
        title: what the table is of.
        columns: their names.
        rows: one text for each column.
        words: the columns of words, set flush left; the others hold numbers.
        labels: how many columns at the left name a row.
        breaks: numbers of the rows after which a rule is drawn.
        notes: how to read it, sentence by sentence.
        details: columns that a terminal leaves out.
        prose: the cells are sentences, so a terminal and a page list them row by row.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[str] = frozenset()
    labels: int = 1
    breaks: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()
    details: frozenset[str] = frozenset()
    prose: bool = False

    @property
    def caption(self) -> str:
        """The notes as one paragraph."""
        return " ".join(self.notes)

    def only(self, places: list[int]) -> "Table":
        """Return the table with the columns at ``places``."""
        rows = tuple(tuple(row[place] for place in places) for row in self.rows)
        return replace(self, columns=tuple(self.columns[place] for place in places), rows=rows)
