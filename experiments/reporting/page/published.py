"""The published table beside the measured one, in the rows and columns of its declaration."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.analysis.findings import Findings, Result
from experiments.common.text import plural, proper_name, signed, word
from experiments.config.paper_table import PaperTable, Published
from experiments.reporting.page.naming import axes_of, heading_of, phrase_of, value_of
from experiments.reporting.tables.published import order_agreement

SECOND_HAND = "†"
Key = tuple[str, ...]
Place = tuple[str, str]  # data set and first stage


@dataclass(frozen=True)
class GridCell:
    """A published value beside the measured one, as texts; empty where there is none. ``compared``: the difference and
    its status. ``status`` is a ``Result``'s, or ``not measured``; what is ``other data`` is greyed.
    """

    published: str = ""
    measured: str = ""
    compared: str = ""
    status: str = ""


@dataclass(frozen=True)
class Grid:
    """One data set and first stage. ``stubs``: the names of the labels that ``rows`` begin with."""

    title: str
    stubs: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[Key, tuple[GridCell, ...]], ...]


def grids_of(findings: Findings) -> list[Grid]:
    """The table of a study, once for each data set and first stage that are not among its rows and columns."""
    table = findings.table
    if table is None:
        return []
    panels = _panels(findings, table)
    return [_grid(findings, table, place, results) for place, results in panels.items()]


def notes_of(findings: Findings) -> list[str]:
    """How to read the grids: marks, tolerance, other data, and what the table's author notes."""
    table = findings.table
    if table is None:
        return []
    notes = [f"Published: {table.source.rstrip('.')}. Measured: {findings.measure}, mean ± sd over seeds."]
    if any(one.mark == "second-hand" for one in table.published):
        notes.append(f"{SECOND_HAND} Read in another paper than the authors' own.")
    if table.tolerance is not None:
        why = f" ({table.tolerance_source.rstrip('.')})" if table.tolerance_source else ""
        notes.append(f"Within: at most {table.tolerance:g} from the published value{why}.")
    if any(result.status == "other data" for result in findings.results):
        notes.append(
            f"Other data (grey): the published values are for {table.data or 'another collection'}, or for what a "
            "stand-in takes the place of here. Values are not comparable across collections; only the order of the "
            "cells is."
        )
        if agreement := order_agreement(findings):
            notes.append(agreement)
    for measured, published in table.stand_ins.items():
        notes.append(f"{proper_name(measured)} stands in for {proper_name(published)}.")
    if table.notes:
        notes.append(" ".join(table.notes.split()))
    return notes


def _panels(findings: Findings, table: PaperTable) -> dict[Place, list[Result]]:
    """The results of each grid; one of published cells alone where nothing was measured for its first stage."""
    spanned = (*table.rows, *table.columns)
    panels: dict[Place, list[Result]] = {}
    for result in findings.results:
        panels.setdefault(_place(result.block.data, result.block.first_stage, spanned), []).append(result)
    stages = {_canonical(stage, table) for _, stage in panels}
    for cell in findings.missing:
        stage = "" if "first_stage" in spanned else str(cell.where.get("first_stage", ""))
        covered = _canonical(stage, table) in stages if stage else bool(panels)
        if not covered:
            panels.setdefault(_place(table.data or "", stage, spanned), [])
    return panels


def _place(data: str, first_stage: str, spanned: Sequence[str]) -> Place:
    return ("" if "data" in spanned else data, "" if "first_stage" in spanned else first_stage)


def _grid(findings: Findings, table: PaperTable, place: Place, results: Sequence[Result]) -> Grid:
    spanned = (*table.rows, *table.columns)
    axes = [axis for axis in axes_of({id(one.block): one.block for one in results}.values()) if axis not in spanned]
    stubs = (*table.rows, *(axis for axis in axes if axis not in table.where))
    members: dict[tuple[Key, Key], GridCell] = {}
    names: dict[Key, Key] = {}  # of rows and columns: canonical key -> what is written
    order: dict[Key, tuple[Any, ...]] = {}

    def put(labels: Mapping[str, Any], cell: GridCell) -> None:
        keys = []
        for side in (stubs, table.columns):
            key = tuple(f"{label}={_canonical(labels.get(label), table)}" for label in side)
            names.setdefault(key, tuple(_name(label, labels.get(label), table) for label in side))
            order.setdefault(key, tuple(_rank(_canonical(labels.get(label), table)) for label in side))
            keys.append(key)
        members[keys[0], keys[1]] = cell

    for result in results:
        put(result.sample.labels, _cell(result, table))
    for published in findings.missing:
        if _belongs(published, place, table):
            put(published.where, GridCell(_published(published), status="not measured"))
    rows, columns = (list(dict.fromkeys(keys[side] for keys in members)) for side in (0, 1))
    columns.sort(key=order.__getitem__)
    rows = _in_table_order(rows, table, stubs)
    return Grid(
        _title(place),
        tuple(map(heading_of, stubs)),
        tuple(_column(names[key], table.columns) for key in columns),
        tuple((names[row], tuple(members.get((row, column), GridCell()) for column in columns)) for row in rows),
    )


def _in_table_order(rows: list[Key], table: PaperTable, stubs: Sequence[str]) -> list[Key]:
    """Rows as the published cells have them, those that nobody published below."""
    width = len(table.rows)
    declared = [
        tuple(f"{label}={_canonical(one.where.get(label), table)}" for label in stubs[:width])
        for one in table.published
    ]
    places = {key: place for place, key in reversed(list(enumerate(declared)))}
    return sorted(rows, key=lambda row: places.get(row[:width], len(declared)))


def _belongs(published: Published, place: Place, table: PaperTable) -> bool:
    stage = published.where.get("first_stage")
    return not place[1] or stage is None or _canonical(stage, table) == _canonical(place[1], table)


def _canonical(value: object, table: PaperTable) -> str:
    """A label's value as the published cells call it; numbers in one spelling."""
    named = table.stand_ins.get(str(value), value)
    return f"{float(named):g}" if isinstance(named, int | float) else word(named)


def _rank(value: str) -> tuple[int, float, str]:
    """Numbers in their order, before words."""
    try:
        return (0, float(value), "")
    except ValueError:
        return (1, 0.0, value)


def _name(label: str, value: object, table: PaperTable) -> str:
    stood_for = table.stand_ins.get(str(value))
    written = value_of(label, value)
    return written if stood_for is None else f"{written} (for {value_of(label, stood_for)})"


def _column(names: Iterable[str], labels: Sequence[str]) -> str:
    written = [
        name if label in ("loss", "first_stage") else f"{heading_of(label)} {name}"
        for name, label in zip(names, labels, strict=True)
    ]
    return ", ".join(written)


def _title(place: Place) -> str:
    data, stage = place
    return ", ".join(part for part in (phrase_of("first_stage", stage) if stage else "", data) if part)


def _cell(result: Result, table: PaperTable) -> GridCell:
    measured = f"{result.mean:.3f}" + ("" if result.cell.sd is None else f" ± {result.cell.sd:.3f}")
    if result.published is None:
        return GridCell("", measured, "", result.status)
    value = result.published.value
    if value is None:
        return GridCell(_published(result.published), measured, "", result.status)
    if result.status == "other data":
        return GridCell(_published(result.published), measured, result.status, result.status)
    difference = signed(result.mean - value).strip()
    compared = f"{difference}, {result.status}" if result.status else difference
    return GridCell(_published(result.published), measured, compared, result.status)


def _published(cell: Published) -> str:
    if cell.value is None:
        return "unknown"
    return f"{cell.value:.3f}{SECOND_HAND if cell.mark == 'second-hand' else ''}"


def caption_of(grid: Grid) -> str:
    """How many cells of a grid were measured: ``6 of 8 cells measured``."""
    cells = [cell for _, row in grid.rows for cell in row if cell.measured or cell.published]
    measured = sum(bool(cell.measured) for cell in cells)
    return f"{measured:,} of {plural(len(cells), 'cell', 'cells')} measured"
