"""Declare the key ``table`` of a sweep: published cells, and claims about the settings of a study.

It is no part of a job's identity. Cells are addressed by the labels that tables show (``loss``, ``negatives``,
``source``, ``first_stage``, ``backbone`` ...), or by the dotted key of the config that varies.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from experiments.common.checks import one_of
from experiments.common.errors import ExperimentError, shown

MARKS = ("primary", "second-hand", "unknown")
KINDS = ("beats", "improves", "rises", "falls", "within")
LONGEST = 5_000  # letters of a text
LONGEST_LABEL = 500  # letters of a label's value
OF = ("test", "layers")

Where = Mapping[str, Any]


@dataclass(frozen=True)
class Published:
    """One published cell."""

    where: Where
    """Labels of the cell."""
    value: float | None
    """The published mean; null where nobody has read it."""
    mark: str
    """Origin of the value: ``primary`` (the authors' text), ``second-hand``, or ``unknown``."""


@dataclass(frozen=True)
class Claim:
    """A claim about the settings of a study, and its test."""

    says: str
    """The claim in words."""
    kind: str
    """``beats`` (settings with the labels ``better`` against those with ``worse``, at equal other labels), ``improves``
    (settings against the first stage that they re-rank), ``rises`` or ``falls`` (over the label ``over``), or
    ``within`` (``better`` and ``worse`` differ by at most ``margin``)."""
    where: Where = field(default_factory=dict)
    """Labels of the settings that it is about."""
    better: Where = field(default_factory=dict)
    """Labels of one side."""
    worse: Where = field(default_factory=dict)
    """The same labels with the values of the other side."""
    over: str | None = None
    """The numeric label of a trend."""
    margin: float | None = None
    """Largest difference of ``within``."""
    relative: bool = False
    """Whether the margin is a share of the mean of ``worse``."""
    of: str = "test"
    """Results that it is about: the ``test`` results of trained models, or their probed ``layers``."""
    published: str | None = None
    """Whether the source makes the claim itself, and where."""


@dataclass(frozen=True)
class PaperTable:
    """A table of a paper, or one of our own without published cells."""

    title: str
    """Title of the report."""
    source: str
    """Source of the values."""
    measure: str | None = None
    """Measure of the compared means; null for the first of the jobs' ``measures``."""
    data: str | None = None
    """Collection of the published values (a label ``data``); values on another one are shown but not compared. A cell
    with a label ``data`` of its own is of that test set."""
    where: Where = field(default_factory=dict)
    """Labels of all cells."""
    rows: tuple[str, ...] = ("loss",)
    """Labels that span the rows."""
    columns: tuple[str, ...] = ("negatives",)
    """Labels that span the columns."""
    published: tuple[Published, ...] = ()
    """The published cells."""
    tolerance: float | None = None
    """Largest distance of a repetition from the published value."""
    tolerance_source: str | None = None
    """Reason for the tolerance."""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    """Replacements of published labels at a smaller scale, such as ``colbert: tct_colbert``."""
    reference: Where = field(default_factory=dict)
    """Labels of the setting to compare the others with (of several, the one at the other's other labels); empty for the
    first stage."""
    claims: tuple[Claim, ...] = ()
    """Claims about the settings."""
    notes: str | None = None
    """Notes for the reader."""


def table_of(settings: Mapping[str, Any]) -> PaperTable:
    """Return the table in a sweep's key ``table``.

    Raises:
        ExperimentError: a key does not exist, is missing or has an impossible value.
    """
    values = _known("table", settings, {key.name for key in fields(PaperTable)} | {"mark"})
    for key in ("title", "source"):
        if not values.get(key):
            raise ExperimentError(f"table.{key} must be given")
    mark = values.pop("mark", None)
    where = _labels("table.where", values.pop("where", None))
    published, claimed = (_list(f"table.{name}", values.pop(name, None)) for name in ("published", "claims"))
    for name in ("title", "source", "measure", "data", "tolerance_source", "notes"):
        _text(f"table.{name}", values.get(name))
    _share("table.tolerance", values.get("tolerance"))
    cells = [_published(f"table.published[{i}]", cell, where, mark) for i, cell in enumerate(published)]
    claims = [_claim(f"table.claims[{i}]", claim, where) for i, claim in enumerate(claimed)]
    for name, usual in (("rows", ("loss",)), ("columns", ("negatives",))):
        values[name] = tuple(_list(f"table.{name}", values.get(name)) or usual)
        for label in values[name]:
            _text(f"table.{name}", label)
    for name in ("stand_ins", "reference"):
        values[name] = _labels(f"table.{name}", values.get(name))
    if values["reference"]:
        values["reference"] = where | values["reference"]
    keys = [repr(sorted(cell.where.items(), key=str)) for cell in cells]
    if twice := [cell for i, cell in enumerate(cells) if keys[i] in keys[:i]]:
        raise ExperimentError(f"table.published has the cell {dict(twice[0].where)} twice")
    return PaperTable(where=where, published=tuple(cells), claims=tuple(claims), **values)


def _published(key: str, settings: Mapping[str, Any], where: Where, default_mark: str | None) -> Published:
    cell = _labels(key, settings)
    if "value" not in cell:
        raise ExperimentError(f"{key} has no value: a number, or null with mark: unknown")
    value = cell.pop("value")
    mark = cell.pop("mark", None) or ("unknown" if value is None else default_mark)
    if mark not in MARKS:
        raise ExperimentError(f"{key}.mark is {shown(mark)}: it must be one of {', '.join(MARKS)}")
    if (value is None) != (mark == "unknown"):
        raise ExperimentError(
            f"{key}: the value is {shown(value)} and the mark {mark!r}; unknown values are null, and no other"
        )
    _share(f"{key}.value", value)
    return Published(dict(where) | cell, None if value is None else float(value), mark)


def _claim(key: str, settings: Mapping[str, Any], where: Where) -> Claim:
    values = _known(key, settings, {key.name for key in fields(Claim)})
    for name in ("says", "kind"):
        if not values.get(name):
            raise ExperimentError(f"{key}.{name} must be given")
    for name in ("says", "kind", "of", "over", "published"):
        _text(f"{key}.{name}", values.get(name))
    if not isinstance(values.get("relative", False), bool):
        raise ExperimentError(f"{key}.relative is {shown(values['relative'])}: it must be true or false")
    _share(f"{key}.margin", values.get("margin"))
    kind = values["kind"]
    one_of(f"{key}.kind", kind, KINDS)
    one_of(f"{key}.of", values.get("of", "test"), OF)
    needed = {"rises": ("over",), "falls": ("over",), "improves": ()}.get(kind, ("better", "worse"))
    for name in (*needed, *(["margin"] if kind == "within" else [])):
        if values.get(name) in (None, {}, ""):
            raise ExperimentError(f"{key}.{name} must be given for kind: {kind}")
    if kind == "improves" and (values.get("worse") or values.get("of", "test") != "test"):
        raise ExperimentError(
            f"{key}: kind: improves compares test results with their first stage; leave out worse and of"
        )
    own = _labels(f"{key}.where", values.get("where"))
    # Probed layers do not have the labels of the table's published cells, such as a first stage.
    values["where"] = own if values.get("of") == "layers" else dict(where) | own
    for name in ("better", "worse"):
        values[name] = _labels(f"{key}.{name}", values.get(name))
        values["where"] = {label: value for label, value in values["where"].items() if label not in values[name]}
    if kind in ("beats", "within") and set(values["better"]) != set(values["worse"]):
        raise ExperimentError(f"{key}: better and worse must name the same labels")
    return Claim(**values)


def _labels(key: str, value: Any) -> dict[str, Any]:
    """Return labels and their values, none for null. Raises ExperimentError unless each value is a text or a number."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ExperimentError(f"{key} is {shown(value)}: it must be labels with their values, such as {{loss: lce}}")
    for label, each in value.items():
        if not _is_label(each):
            raise ExperimentError(f"{key}.{label} is {shown(each)}: it must be a text or a finite number")
    return {str(label): each for label, each in value.items()}


def _is_label(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_LABEL
    return value is None or (isinstance(value, int | float) and math.isfinite(value) and abs(value) < 2**63)


def _list(key: str, value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise ExperimentError(f"{key} is {shown(value)}: it must be a list")
    return list(value)


def _text(key: str, value: Any) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip() or len(value) > LONGEST):
        raise ExperimentError(f"{key} is {shown(value)}: it must be a text of 1 to {LONGEST:,} letters")


def _share(key: str, value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1):
        raise ExperimentError(f"{key} is {shown(value)}: it must lie between 0 and 1")


def _known(key: str, settings: Any, known: set[str]) -> dict[str, Any]:
    if not isinstance(settings, Mapping):
        raise ExperimentError(f"{key} should hold named values, not {type(settings).__name__}")
    if unknown := sorted(set(map(str, settings)) - known):
        raise ExperimentError(
            f"there is no key {key}.{shown(unknown[0])[1:-1]}; the keys of {key} are {', '.join(sorted(known))}"
        )
    return {str(name): value for name, value in settings.items()}
