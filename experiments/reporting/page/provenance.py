"""Where each job's results come from: revision, inputs, machine, cost; and how to make and check them again."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from experiments.analysis.findings import Findings
from experiments.analysis.load import JobResult
from experiments.common.cache import fingerprint
from experiments.common.errors import ExperimentError
from experiments.common.text import count, value_or_dash
from experiments.job_files.status import MISSING, UNREADABLE, read_status
from experiments.reporting.tables.results import left_out

MULTIRUN = "multirun.yaml"  # left by Hydra: the last launch of the study
UNRECORDED = "-"


@dataclass(frozen=True)
class Provenance:
    """One job as texts. ``why``: the first line of why it has no results; empty if it has. ``started`` and ``updated``
    are ISO 8601 times in UTC, empty where unknown.
    """

    name: str
    state: str
    why: str
    wandb: str
    revision: str
    config: str
    inputs: tuple[tuple[str, str], ...]
    device: str
    threads: str
    seconds: str
    cache: str
    started: str
    updated: str


def provenance_of(findings: Findings) -> list[Provenance]:
    """A row a job, in the order of their names; of a cross-validation a row a fold."""
    why = {name: reason for name, _, reason in left_out(findings.jobs)}
    return [_row(part, findings.folder.name, why.get(job.name, "")) for job in findings.jobs for part in job.parts]


def _row(job: JobResult, study: str, why: str) -> Provenance:
    status = _status(job)
    logged = (job.config.get("logger") or {}).get("mode", "none") != "none"
    seconds = status.get("seconds")
    return Provenance(
        name=job.name,
        state=job.state,
        why=why,
        wandb=fingerprint({"study": job.config.get("study", study), "job": job.name}) if logged else UNRECORDED,
        revision=value_or_dash(status.get("git")),
        config=job.hash or UNRECORDED,
        inputs=tuple((str(name), str(digest)) for name, digest in (status.get("inputs") or {}).items()),
        device=", ".join(str(job.compute[key]) for key in ("machine", "device") if job.compute.get(key)) or "-",
        threads=value_or_dash(job.compute.get("threads")),
        seconds=count(float(seconds)) if seconds is not None else UNRECORDED,
        cache=_cache(job.compute),
        started=str(status.get("started") or ""),
        updated=str(status.get("updated") or ""),
    )


def _status(job: JobResult) -> Mapping[str, Any]:
    """The status file; empty for a job that never began or cannot be read, which says so itself."""
    if job.state in (UNREADABLE, MISSING):
        return {}
    return read_status(job.folder)


def _cache(compute: Mapping[str, Any]) -> str:
    """``6 found, 1 built``: entries of the store."""
    if "cache_hits" not in compute:
        return UNRECORDED
    hits, builds = (sum((compute.get(key) or {}).values()) for key in ("cache_hits", "cache_builds"))
    return f"{hits:,} found, {builds:,} built"


def revisions_of(rows: list[Provenance]) -> list[str]:
    """The revisions of the code that the jobs ran from, in order of appearance."""
    return list(dict.fromkeys(row.revision for row in rows if row.revision != UNRECORDED))


def span_of(rows: list[Provenance]) -> str:
    """When the jobs ran: ``2026-11-22 04:04 to 04:05 UTC``; empty where no job says."""
    times = sorted(row.started for row in rows if row.started) + sorted(row.updated for row in rows if row.updated)
    if not times:
        return ""
    (first_day, first), (last_day, last) = (_moment(time) for time in (times[0], times[-1]))
    if (first_day, first) == (last_day, last):
        return f"{first_day} {first} UTC"
    return f"{first_day} {first} to {'' if first_day == last_day else f'{last_day} '}{last} UTC"


def _moment(time: str) -> tuple[str, str]:
    """Day and minute of an ISO 8601 time."""
    return time[:10], time[11:16]


def commands_of(folder: Path) -> list[tuple[str, str]]:
    """What to type to make the study again, to check it, and to write this page: pairs of purpose and command. The
    first one only where Hydra's note of the last launch lies in the folder.

    Raises:
        ExperimentError: that note cannot be read.
    """
    place = shlex.quote(str(folder))
    commands = [
        ("Re-score the saved runs and refuse drift", f"python -m experiments.study verify {place}"),
        ("Write the tables and this page again", f"python -m experiments.report {place}"),
    ]
    path = folder / MULTIRUN
    if not path.is_file():
        return commands
    try:
        launched = yaml.safe_load(path.read_text(encoding="utf-8"))["hydra"]["overrides"]
        given = [*launched["task"], *(one for one in launched["hydra"] if not one.startswith("hydra.mode="))]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ExperimentError(f"{path} is not what Hydra writes ({' '.join(str(error).split())}): delete it") from error
    given = [one.removeprefix("+") if one.startswith("+sweeps=") else one for one in given]
    run = shlex.join(["python", "-m", "experiments.study", "run", *given])
    return [("Run the study again (its last launch; finished jobs are skipped)", run), *commands]
