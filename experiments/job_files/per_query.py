"""Write and read measures by query, ``per_query.<first stage>.tsv``: a row a query, a column a measure.

Columns ``first_stage:<measure>`` hold the first stage's values. ``per_query.probe.tsv`` has a column a probed layer;
``per_query.<first stage>@<depth>.tsv`` the measures of re-ranking a smaller depth than the job's.
Shapes: Q queries.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.cache import write_atomic
from experiments.common.errors import ExperimentError, shown
from experiments.job_files.files import METRICS, read_text

FloatArray = NDArray[np.float64]

NUMBER = re.compile(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?")
DEPTH = re.compile("[1-9][0-9]{0,9}")
FIRST_STAGE_PREFIX = "first_stage:"
PROBE = "probe"  # in the place of a first stage: the probed layers
DEPTHS = "depths"  # key of a first stage's metrics: depth of re-ranking -> its measures, pairs and milliseconds


@dataclass(frozen=True)
class PerQuery:
    """Measures of one job on one first stage: vectors of shape Q by measure, in the order of ``query_ids``."""

    query_ids: tuple[str, ...]
    reranked: Mapping[str, FloatArray]
    first_stage: Mapping[str, FloatArray]

    @classmethod
    def of_columns(cls, query_ids: Sequence[str], columns: Mapping[str, FloatArray]) -> "PerQuery":
        """Build the table from the columns of a file."""
        own = {name for name in columns if name.startswith(FIRST_STAGE_PREFIX)}
        return cls(
            tuple(query_ids),
            {name: values_Q for name, values_Q in columns.items() if name not in own},
            {name.removeprefix(FIRST_STAGE_PREFIX): values_Q for name, values_Q in columns.items() if name in own},
        )

    @property
    def columns(self) -> dict[str, FloatArray]:
        """All values by their column names in a file."""
        own = {f"{FIRST_STAGE_PREFIX}{measure}": values_Q for measure, values_Q in self.first_stage.items()}
        return {**self.reranked, **own}

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures of both the re-ranked run and the first stage, in the order of the file."""
        return tuple(measure for measure in self.reranked if measure in self.first_stage)

    def ordered(self, query_ids: tuple[str, ...]) -> "PerQuery":
        """Reorder the queries. Raises KeyError for an unknown query."""
        if query_ids == self.query_ids:
            return self
        position = {query_id: index for index, query_id in enumerate(self.query_ids)}
        order_Q = np.array([position[query_id] for query_id in query_ids], dtype=np.intp)
        return PerQuery.of_columns(query_ids, {name: values_Q[order_Q] for name, values_Q in self.columns.items()})


def concatenate(tables: Sequence[PerQuery]) -> PerQuery:
    """Append the rows of several tables, keeping the columns that all have."""
    columns = [table.columns for table in tables]
    shared = [name for name in columns[0] if all(name in others for others in columns)]
    return PerQuery.of_columns(
        [query_id for table in tables for query_id in table.query_ids],
        {name: np.concatenate([values[name] for values in columns]) for name in shared},
    )


def per_query_path(folder: Path, first_stage: str, depth: int | None = None) -> Path:
    """Return the path of a job's values by query on a first stage. ``depth``: smaller than the job's; None for that."""
    return folder / f"per_query.{first_stage}{'' if depth is None else f'@{depth}'}.tsv"


def read_depths(folder: Path, first_stage: str, saved: Mapping[str, Any], deepest: PerQuery) -> dict[int, PerQuery]:
    """Read a job's values at each depth of re-ranking, ascending; empty for a job that measured one depth.

    ``saved``: the first stage's part of the metrics. ``deepest``: the values at the largest depth, the job's own.

    Raises:
        ExperimentError: a table is missing, malformed, or of other queries.
    """
    noted = saved.get(DEPTHS) or {}
    if not isinstance(noted, Mapping) or not all(DEPTH.fullmatch(str(depth)) for depth in noted):
        raise ExperimentError(f"{folder / METRICS}, test.{first_stage}.{DEPTHS}: it should hold measures by depth")
    depths = sorted(map(int, noted))
    tables = {depth: read_per_query(per_query_path(folder, first_stage, depth)) for depth in depths[:-1]}
    for depth, table in tables.items():
        if table.query_ids != deepest.query_ids:
            raise ExperimentError(f"{per_query_path(folder, first_stage, depth)}: its queries are not those of the job")
    return {**tables, depths[-1]: deepest} if depths else {}


def write_per_query(path: Path, table: PerQuery) -> None:
    """Write a table atomically, each value in full."""
    columns = table.columns
    lines = ["\t".join(["query", *columns])]
    lines += [
        "\t".join([query_id, *(repr(float(value)) for value in values)])
        for query_id, *values in zip(table.query_ids, *columns.values(), strict=True)
    ]
    write_atomic(path, "\n".join(lines) + "\n")


def read_per_query(path: Path) -> PerQuery:
    """Read a table. Raises ExperimentError naming the line that is malformed, doubled or not finite."""
    lines = read_text(path).rstrip("\n").split("\n")
    header = lines[0].split("\t")
    if len(header) < 2 or header[0] != "query":
        raise ExperimentError(f"{path}, line 1: a header of 'query' and the measures, separated by tabs, is expected")
    if len(set(header)) < len(header):
        raise ExperimentError(f"{path}, line 1: a column is named twice")
    rows: dict[str, list[float]] = {}
    for number, line in enumerate(lines[1:], start=2):
        query_id, *fields = line.split("\t")
        if len(fields) != len(header) - 1:
            count = len(fields) + 1
            raise ExperimentError(f"{path}, line {number}: {len(header)} columns are expected, there are {count}")
        if query_id in rows:
            raise ExperimentError(f"{path}, line {number}: query {shown(query_id)} stands in the file twice")
        try:
            rows[query_id] = [float(field) for field in fields]
        except ValueError as error:
            wrong = next((field for field in fields if not NUMBER.fullmatch(field)), "")
            raise ExperimentError(f"{path}, line {number}: {shown(wrong)} is no number") from error
        if not all(map(math.isfinite, rows[query_id])):
            raise ExperimentError(f"{path}, line {number}: a value is not finite")
    columns = np.array(list(rows.values()), dtype=np.float64).reshape(len(rows), len(header) - 1).T
    return PerQuery.of_columns(list(rows), dict(zip(header[1:], columns, strict=True)))
