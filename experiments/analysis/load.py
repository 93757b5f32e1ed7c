"""Read the jobs of a study from its folder, which holds one folder a job, marked by ``status.json``.

An archive is unpacked first (``experiments.job_files.archive.study_folder``).

A finished job also has

- ``config.yaml``: its resolved config,
- ``metrics.json``: ``labels`` (its name in tables), ``test`` (measures per first stage), ``compute``,
- ``per_query.<first_stage>.tsv``: one row a query, the re-ranked and the first stage's own value of each measure,
- ``per_query.<first_stage>@<depth>.tsv``: the same at each smaller depth of re-ranking, if several were measured.

A finished job whose files cannot be read comes back as ``unreadable``, with why.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.common.errors import ExperimentError, noted_reason
from experiments.common.text import first_line, plural
from experiments.config.saved import read_job_config
from experiments.job_files.archive import as_given
from experiments.job_files.checked_results import read_metrics, read_status
from experiments.job_files.files import CONFIG, METRICS, STATUS, as_mapping
from experiments.job_files.integrity import refuse_unreportable
from experiments.job_files.per_query import PerQuery, per_query_path, read_depths, read_per_query
from experiments.job_files.status import FINISHED, MISSING, RUNNING, UNREADABLE, begun_in, hash_of, last_launch

INCOMPLETE = "incomplete"  # folds of one setting, some of which have not finished
REASONS = {
    RUNNING: "not finished, or interrupted: run the study again to resume it",
    MISSING: "never began: run the study again",
}


@dataclass(frozen=True)
class JobResult:
    """State, config and results of one job.

    ``state``: ``running``, ``finished`` or ``failed`` as in ``status.json``; ``unreadable``; ``missing`` if the last
    launch did not begin it; ``incomplete`` if folds are missing (``experiments.analysis.folds``). ``error``: first line
    of why. ``hash``: of its scientific config, if known. ``labels``, ``test``, ``compute`` and ``per_query`` are
    empty unless the job has finished; ``test`` and ``per_query`` are keyed by first stage. ``per_depth``: the same by
    depth of re-ranking, for a job that measured several. ``folds``: the jobs of a pooled cross-validation, whose own
    folder does not exist. ``code``: revision or package version, if noted. ``split``: the measured queries; other than
    test only for first stages alone. ``trained_by``: the scientific config of the training, for a job that measured the
    model of another one.
    """

    folder: Path
    state: str
    error: str | None = None
    hash: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    test: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    compute: Mapping[str, Any] = field(default_factory=dict)
    per_query: Mapping[str, PerQuery] = field(default_factory=dict)
    per_depth: Mapping[str, Mapping[int, PerQuery]] = field(default_factory=dict)
    probe: Mapping[str, Any] | None = None
    folds: tuple["JobResult", ...] = ()
    code: str | None = None
    split: str = "test"
    trained_by: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> tuple["JobResult", ...]:
        """The jobs that left files: the folds of a pooled job, or the job itself."""
        return self.folds or (self,)

    @property
    def name(self) -> str:
        """The name of the job's folder."""
        return self.folder.name

    @property
    def seed(self) -> Any:
        """The seed, from the job's labels or else from its config."""
        return self.labels.get("seed", self.config.get("seed"))

    @property
    def finished(self) -> bool:
        """Whether the job has results that can be read."""
        return self.state == FINISHED

    @property
    def reason(self) -> str:
        """Why an unfinished job has no results, in one line."""
        return self.error or REASONS.get(self.state, "no reason was recorded")


def read_study(folder: Path) -> list[JobResult]:
    """Read all jobs of a study, by name: jobs on disk, and jobs of its last launch that never began.

    Raises:
        ExperimentError: the folder is missing or holds no job.
    """
    if not folder.is_dir():
        raise ExperimentError(f"{folder} is not a folder: give the folder of a study, for example outputs/quickstart")
    if (folder / STATUS).is_file():
        raise ExperimentError(f"{folder} is the folder of one job: give the study's folder, {folder.parent}")
    jobs = [read_job(place) for place in sorted(begun_in(folder))]
    if not jobs:
        raise ExperimentError(f"{folder} holds no job (no folder in it has a {STATUS}): run the study first")
    began = {job.name for job in jobs}
    missing = [
        JobResult(folder / name, MISSING, hash=hash_of({}, name)) for name in last_launch(folder) if name not in began
    ]
    return sorted([*jobs, *missing], key=lambda job: job.name)


def read_job(folder: Path) -> JobResult:
    """Read one job; ``unreadable``, with why, if a file is missing or malformed."""
    try:
        status = read_status(folder)
        state = str(status.get("state", "unknown"))
        if state == FINISHED:
            return _finished_job(folder, status)
        config = read_job_config(folder) if (folder / CONFIG).is_file() else {}
        return JobResult(folder, state, noted_reason(status.get("error")), hash_of(status, folder.name), config)
    except ExperimentError as error:
        return JobResult(folder, UNREADABLE, first_line(as_given(error)), hash_of({}, folder.name))


def mixed_code(jobs: Iterable[JobResult]) -> str | None:
    """Say how many jobs come from each revision of the code; None if all share one."""
    counts = Counter(part.code or "not noted" for job in jobs if job.finished for part in job.parts)
    if len(counts) < 2:
        return None
    each = ", ".join(f"{code} ({plural(count, 'job')})" for code, count in counts.most_common())
    return f"These jobs were run by {len(counts)} revisions of the code: {each}."


def _finished_job(folder: Path, status: Mapping[str, Any]) -> JobResult:
    refuse_unreportable(folder, status)
    path = folder / METRICS
    metrics = read_metrics(folder)
    labels, test, compute = (as_mapping(path, metrics.get(key), key) for key in ("labels", "test", "compute"))
    for key in ("loss", "data"):
        if key not in labels:
            raise ExperimentError(f"{path}: the labels lack {key!r}")
    git, version = status.get("git"), status.get("version")
    by_first_stage = {name: as_mapping(path, values, f"test.{name}") for name, values in test.items()}
    per_query = {first_stage: read_per_query(per_query_path(folder, first_stage)) for first_stage in test}
    return JobResult(
        folder,
        FINISHED,
        hash=hash_of(status, folder.name),
        config=read_job_config(folder),
        labels=labels,
        test=by_first_stage,
        compute=compute,
        per_query=per_query,
        per_depth={name: read_depths(folder, name, by_first_stage[name], table) for name, table in per_query.items()},
        probe=as_mapping(path, metrics["probe"], "probe") if "probe" in metrics else None,
        code=str(git) if git else f"version {version}" if version else None,
        split=str(metrics.get("split", "test")),
        trained_by=as_mapping(path, metrics["trained_by"], "trained_by") if "trained_by" in metrics else {},
    )
