"""Keep the history of a training in its job's folder, whatever the logger: a row now and then, a column a quantity.

``loss`` and the diagnostics (``experiments.losses.diagnostics``) are means over the steps since the previous row;
``dev`` is the first measure at a validation. ``step``, ``groups``, ``pairs``, ``tokens``, ``seconds`` and ``lr``
(learning rate) are the values at the row. Unknown values are empty.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.common.cache import write_atomic
from experiments.common.errors import ExperimentError, shown
from experiments.job_files.files import read_text

FILE = "history.tsv"
COUNTS = ("step", "groups", "pairs", "tokens")  # whole numbers, written as such
DIAGNOSTICS = (  # of the scores of groups
    "margin",
    "hardest_margin",
    "positive_on_top",
    "effective_negatives",
    "hardest_share",
    "saturated_bce",
    "score_spread",
)
COLUMNS = (*COUNTS, "seconds", "lr", "loss", *DIAGNOSTICS, "dev")


def write_history(path: Path, rows: Sequence[Mapping[str, float]], columns: Sequence[str] = COLUMNS) -> None:
    """Write rows atomically; a missing or NaN value is left empty."""
    lines = ["\t".join(columns)]
    lines += ["\t".join(_field(name, row.get(name, math.nan)) for name in columns) for row in rows]
    write_atomic(path, "\n".join(lines) + "\n")


def _field(name: str, value: float) -> str:
    if math.isnan(value):
        return ""
    return str(int(value)) if name in COUNTS else repr(float(value))


def rounded_history(history: Mapping[str, Sequence[float]], digits: int = 4) -> str:
    """Return the text of a history with values of some significant digits, all that a figure shows."""
    lines = ["\t".join(history)]
    for row in zip(*history.values(), strict=True):
        fields = (_rounded(name, value, digits) for name, value in zip(history, row, strict=True))
        lines.append("\t".join(fields))
    return "\n".join(lines) + "\n"


def _rounded(name: str, value: float, digits: int) -> str:
    return _field(name, value) if name in COUNTS or math.isnan(value) else f"{value:.{digits}g}"


def read_history(path: Path) -> dict[str, list[float]]:
    """Return each column's values, one a row; NaN where the file has none.

    Raises:
        ExperimentError: the file is missing or a line is malformed.
    """
    lines = read_text(path).splitlines()
    names = lines[0].split("\t") if lines else []
    if names[:1] != ["step"] or len(set(names)) != len(names):
        raise ExperimentError(f"{path}, line 1: no history of a training: it must name columns, step first, each once")
    columns: dict[str, list[float]] = {name: [] for name in names}
    for number, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        if len(fields) != len(names):
            raise ExperimentError(f"{path}, line {number}: {len(fields)} fields, but line 1 names {len(names)} columns")
        for name, field in zip(names, fields, strict=True):
            try:
                value = float(field) if field else math.nan
                if field and not math.isfinite(value):
                    raise ValueError
                columns[name].append(value)
            except ValueError as error:
                raise ExperimentError(
                    f"{path}, line {number}: {shown(name)[1:-1]} is {shown(field)}, which is no number"
                ) from error
    return columns
