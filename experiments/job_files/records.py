"""What the jobs of a study left on disk, read back.

A study's folder holds one folder a job; what marks a job is its ``status.json``. A finished job also has

- ``config.yaml``: its resolved config,
- ``metrics.json``: ``labels`` (the words that name it in a table), ``test`` (measures per first stage), ``compute``,
- ``per_query.<first_stage>.tsv``: one row a query, the re-ranked value and the first stage's own value of each measure.

Reading a study never fails because of one job: a finished job whose files cannot be read comes back as
``unreadable``, with why.

Shapes: Q queries.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common.errors import ExperimentError
from experiments.common.text import first_line, plural

FloatArray = NDArray[np.float64]

STATUS = "status.json"
CONFIG = "config.yaml"
METRICS = "metrics.json"
TABLE = "table.yaml"
GRID = "grid.json"
FIRST_STAGE_PREFIX = "first_stage:"

FINISHED = "finished"
UNREADABLE = "unreadable"
MISSING = "missing"
INCOMPLETE = "incomplete"  # folds of one setting, some of which have not finished


@dataclass(frozen=True)
class PerQuery:
    """The measures of one job on one first stage, query by query.

    ``reranked[measure]`` and ``first_stage[measure]`` are vectors of shape Q in the order of ``query_ids``.
    """

    query_ids: tuple[str, ...]
    reranked: Mapping[str, FloatArray]
    first_stage: Mapping[str, FloatArray]

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures known for the re-ranked run and for the first stage, in the order of the file."""
        return tuple(measure for measure in self.reranked if measure in self.first_stage)

    def ordered(self, query_ids: tuple[str, ...]) -> "PerQuery":
        """The same values in another order of the same queries. Raises KeyError for a query that is not here."""
        if query_ids == self.query_ids:
            return self
        position = {query_id: index for index, query_id in enumerate(self.query_ids)}
        order_Q = np.array([position[query_id] for query_id in query_ids], dtype=np.intp)
        return PerQuery(
            query_ids,
            {measure: values_Q[order_Q] for measure, values_Q in self.reranked.items()},
            {measure: values_Q[order_Q] for measure, values_Q in self.first_stage.items()},
        )


@dataclass(frozen=True)
class Job:
    """One job of a study.

    ``state`` is what ``status.json`` says (``running``, ``finished``, ``failed``), ``unreadable``, or ``missing`` for a
    job of the last launch that never began, or ``incomplete`` for folds of which some are missing (see
    ``experiments.analysis.folds``); ``error`` the first line of why. ``config`` is nested as in the file.
    ``labels``, ``test``, ``compute`` and ``per_query`` are empty unless the job has finished; ``test`` and
    ``per_query`` are keyed by first stage. ``folds``: of a job that was pooled from the folds of a cross-validation,
    those jobs; its own folder does not exist. ``code``: the revision that it ran from, or the package's version; None
    where neither was noted. ``split``: whose queries it was measured on; another than test only for first stages alone.
    """

    folder: Path
    state: str
    error: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    test: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    compute: Mapping[str, Any] = field(default_factory=dict)
    per_query: Mapping[str, PerQuery] = field(default_factory=dict)
    probe: Mapping[str, Any] | None = None
    folds: tuple["Job", ...] = ()
    code: str | None = None
    split: str = "test"

    @property
    def parts(self) -> tuple["Job", ...]:
        """The jobs that left files: the folds of a pooled job, or the job itself."""
        return self.folds or (self,)

    @property
    def name(self) -> str:
        """The name of the job's folder."""
        return self.folder.name

    @property
    def finished(self) -> bool:
        """Whether the job has results that can be read."""
        return self.state == FINISHED


def read_study(folder: Path) -> list[Job]:
    """All jobs of a study, by name: those on disk, and those of its last launch (``grid.json``) that never began.
    Raises ExperimentError if the folder is missing or holds no job.
    """
    if not folder.is_dir():
        raise ExperimentError(f"{folder} is not a folder: give the folder of a study, for example outputs/quickstart")
    if (folder / STATUS).is_file():
        raise ExperimentError(f"{folder} is the folder of one job: give the study's folder, {folder.parent}")
    jobs = [read_job(path.parent) for path in sorted(folder.glob(f"*/{STATUS}"))]
    if not jobs:
        raise ExperimentError(f"{folder} holds no job (no folder in it has a {STATUS}): run the study first")
    began = {job.name for job in jobs}
    missing = [Job(folder / name, MISSING) for name in last_launch(folder) if name not in began]
    return sorted([*jobs, *missing], key=lambda job: job.name)


def last_launch(study: Path) -> list[str]:
    """The names of the jobs of a study's last launch, whether they began or not; none if it was not a multirun."""
    path = study / GRID
    return [str(name) for name in _json(path)] if path.is_file() else []


def read_job(folder: Path) -> Job:
    """One job; in the state ``unreadable``, with why, if a file that it should have is missing or malformed."""
    try:
        status = _mapping(folder / STATUS, _json(folder / STATUS))
        state = str(status.get("state", "unknown"))
        if state == FINISHED:
            return replace(_finished_job(folder), code=_code(status))
        config = _yaml(folder / CONFIG) if (folder / CONFIG).is_file() else {}
        return Job(folder, state, error=first_line(status.get("error")) or None, config=config)
    except ExperimentError as error:
        return Job(folder, UNREADABLE, error=first_line(error))


def mixed_code(jobs: Iterable[Job]) -> str | None:
    """Says that the results of jobs come from several revisions of the code, with how many from each; None if not."""
    counts = Counter(part.code or "not noted" for job in jobs if job.finished for part in job.parts)
    if len(counts) < 2:
        return None
    each = ", ".join(f"{code} ({plural(count, 'job')})" for code, count in counts.most_common())
    return f"These jobs were run by {len(counts)} revisions of the code: {each}."


def _code(status: Mapping[str, Any]) -> str | None:
    git, version = status.get("git"), status.get("version")
    return str(git) if git else f"version {version}" if version else None


def read_per_query(path: Path) -> PerQuery:
    """Read a per-query table. Raises ExperimentError naming the line that is malformed, doubled or not finite."""
    lines = _text(path).rstrip("\n").split("\n")
    header = lines[0].split("\t")
    if len(header) < 2 or header[0] != "query":
        raise ExperimentError(f"{path}, line 1: a header of 'query' and the measures, separated by tabs, is expected")
    rows: dict[str, list[float]] = {}
    for number, line in enumerate(lines[1:], start=2):
        query_id, *cells = line.split("\t")
        if len(cells) != len(header) - 1:
            found = len(cells) + 1
            raise ExperimentError(f"{path}, line {number}: {len(header)} columns are expected, there are {found}")
        if query_id in rows:
            raise ExperimentError(f"{path}, line {number}: query {query_id!r} stands in the file twice")
        rows[query_id] = _numbers(cells, path, number)
    columns = np.array(list(rows.values()), dtype=np.float64).reshape(len(rows), len(header) - 1).T
    by_name = dict(zip(header[1:], columns, strict=True))
    return PerQuery(
        tuple(rows),
        {name: values for name, values in by_name.items() if not name.startswith(FIRST_STAGE_PREFIX)},
        {
            name.removeprefix(FIRST_STAGE_PREFIX): values
            for name, values in by_name.items()
            if name.startswith(FIRST_STAGE_PREFIX)
        },
    )


def _finished_job(folder: Path) -> Job:
    path = folder / METRICS
    metrics = _mapping(path, _json(path))
    labels, test, compute = (_mapping(path, metrics.get(key), key) for key in ("labels", "test", "compute"))
    for key in ("loss", "data"):
        if key not in labels:
            raise ExperimentError(f"{path}: the labels lack {key!r}")
    return Job(
        folder,
        FINISHED,
        config=_yaml(folder / CONFIG),
        labels=labels,
        test={first_stage: _mapping(path, values, f"test.{first_stage}") for first_stage, values in test.items()},
        compute=compute,
        per_query={first_stage: read_per_query(folder / f"per_query.{first_stage}.tsv") for first_stage in test},
        probe=_mapping(path, metrics["probe"], "probe") if "probe" in metrics else None,
        split=str(metrics.get("split", "test")),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ExperimentError(f"{path} is missing: delete the job's folder and run the study again") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except ValueError as error:
        raise ExperimentError(f"{path} is not readable JSON ({error})") from error


def _yaml(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        return _mapping(path, yaml.safe_load(_text(path)))
    except yaml.YAMLError as error:
        raise ExperimentError(f"{path} is not readable YAML ({' '.join(str(error).split())})") from error


def _mapping(path: Path, value: Any, key: str | None = None) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        what = "it" if key is None else f"its key {key!r}"
        raise ExperimentError(f"{path}: {what} should hold named values, not {type(value).__name__}")
    return value


def _numbers(cells: list[str], path: Path, line: int) -> list[float]:
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError as error:
        raise ExperimentError(f"{path}, line {line}: {error}") from error
    if not all(map(math.isfinite, numbers)):
        raise ExperimentError(f"{path}, line {line}: a value is not finite")
    return numbers
