"""Choose the measure of a report: the requested one, or the first that all jobs have.

A job's measure names contain the lowest relevant grade (``data.min_grade``): a table's ``RR@10`` is ``RR(rel=2)@10`` in
a job whose passages are relevant from grade 2 on.
"""

from collections.abc import Iterable, Sequence

from experiments.analysis.load import JobResult
from experiments.common.errors import ExperimentError
from experiments.evaluation.measure_names import min_grade_in, resolve, unresolved


def measure_by_data(jobs: Sequence[JobResult], wanted: str | None = None) -> dict[str, str]:
    """Return the measure of each data set, as a config writes it: the wanted one, or the first that all jobs have; for
    a test set (``tests``) without it, the first of its own.

    Raises:
        ExperimentError: the jobs on one data set have no measure in common; the message names two jobs.
    """
    by_data: dict[str, list[JobResult]] = {}
    for job in jobs:
        by_data.setdefault(str(job.labels["data"]), []).append(job)
    alone = {data for data, members in by_data.items() if all(job.config.get("test_set") for job in members)}
    shared = wanted or first_measure(job for job in jobs if len(by_data) == 1 or job.labels["data"] not in alone)
    chosen = {}
    for data, members in by_data.items():
        has = shared is not None and all(shared in measures for _, measures in _named(members))
        own = first_measure(members) if data in alone and not has else None
        if measure := own or shared:
            chosen[data] = measure
    return chosen


def first_measure(jobs: Iterable[JobResult]) -> str | None:
    """Return the first measure that all jobs have, as a config writes it; None without jobs.

    Raises:
        ExperimentError: there is none; the message names two jobs.
    """
    named = _named(jobs)
    if not named:
        return None
    first, shared = named[0]
    for job, measures in named:
        kept = [measure for measure in shared if measure in measures]
        if not kept:
            raise ExperimentError(
                f"the jobs {first.name} and {job.name} have no measure in common ({', '.join(shared)}; "
                f"{', '.join(measures)}): report them one by one"
            )
        shared = kept
    return shared[0]


def _named(jobs: Iterable[JobResult]) -> list[tuple[JobResult, list[str]]]:
    """Return each job with the measures of each of its first stages, as a config writes them."""
    return [
        (job, [unresolved(measure, min_grade_in(job.config)) for measure in table.measures])
        for job in jobs
        for table in job.per_query.values()
    ]


def measure_of(jobs: Sequence[JobResult], first_stage: str, wanted: str) -> str:
    """Return a measure's name in the files of jobs of one table; jobs of earlier versions have the config's name."""
    (resolved,) = resolve([wanted], min_grade_in(jobs[0].config), "measure")
    known = [job.per_query[first_stage].measures for job in jobs]
    as_written = all(wanted in measures for measures in known) and not any(resolved in measures for measures in known)
    return wanted if as_written else resolved


def check_grade(jobs: Sequence[JobResult], data: str) -> None:
    """Refuse jobs on one data set whose passages are relevant from different grades on.

    Raises:
        ExperimentError: the message names a job of each grade.
    """
    by_grade: dict[int, JobResult] = {}
    for job in jobs:
        by_grade.setdefault(min_grade_in(job.config), job)
    if len(by_grade) > 1:
        grades = sorted(by_grade)
        raise ExperimentError(
            f"the jobs {' and '.join(by_grade[grade].name for grade in grades)} on {data} have data.min_grade "
            f"{' and '.join(map(str, grades))}: they cannot stand in one table, run them as studies of their own "
            "(study=...) and report each folder by itself"
        )


def dev_measure(jobs: Iterable[JobResult]) -> str | None:
    """Return the measure by which the first job chose its checkpoint; None without jobs."""
    firsts = (table.measures[0] for job in jobs for table in job.per_query.values() if table.measures)
    return next(firsts, None)
