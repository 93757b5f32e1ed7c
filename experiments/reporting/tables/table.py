"""A table as data, for every renderer."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Table:
    """Texts in rows and columns, and how to render them.

    ``columns``: their names. ``words``: the columns of words, aligned left; the others hold numbers. ``labels``: number
    of columns at the left that name a row. ``breaks``: indices of the rows with a rule below. ``notes``: how to read
    it. ``details``: columns that a terminal omits. ``prose``: cells are sentences, listed row by row.
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
