"""Record each job's provenance (revision, inputs, machine, cost), and the commands to repeat and check the study."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from experiments.analysis.findings import Findings
from experiments.analysis.load import JobResult
from experiments.common.cache import fingerprint
from experiments.common.text import count, value_or_dash
from experiments.job_files.archive import MULTIRUN, place_of
from experiments.job_files.checked_results import read_launch, read_status
from experiments.job_files.status import MISSING, UNREADABLE
from experiments.reporting.tables.results import left_out

UNRECORDED = "-"


@dataclass(frozen=True)
class Provenance:
    """One job as texts. ``why``: first line of its error. ``started``, ``updated``: ISO 8601 times in UTC, or empty."""

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
    """Return one row per job, and per fold of a cross-validation."""
    why = {name: reason for name, _, reason in left_out(findings.jobs)}
    return [_row(part, findings.folder.name, why.get(job.name, "")) for job in findings.jobs for part in job.parts]


def _row(job: JobResult, study: str, why: str) -> Provenance:
    status = {} if job.state in (UNREADABLE, MISSING) else read_status(job.folder)
    logged = (job.config.get("logger") or {}).get("mode", "none") != "none"
    seconds = status.get("seconds")
    hits, builds = (sum((job.compute.get(key) or {}).values()) for key in ("cache_hits", "cache_builds"))
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
        cache=f"{hits:,} found, {builds:,} built" if "cache_hits" in job.compute else UNRECORDED,
        started=str(status.get("started") or ""),
        updated=str(status.get("updated") or ""),
    )


def revisions_of(rows: list[Provenance]) -> list[str]:
    """Return the code revisions of the jobs, in order of appearance."""
    return list(dict.fromkeys(row.revision for row in rows if row.revision != UNRECORDED))


def span_of(rows: list[Provenance]) -> str:
    """Return when the jobs ran: ``2026-11-22 04:04 to 04:05 UTC``; empty if unknown."""
    times = sorted(row.started for row in rows if row.started) + sorted(row.updated for row in rows if row.updated)
    if not times:
        return ""
    (first_day, first), (last_day, last) = ((time[:10], time[11:16]) for time in (times[0], times[-1]))
    if (first_day, first) == (last_day, last):
        return f"{first_day} {first} UTC"
    return f"{first_day} {first} to {'' if first_day == last_day else f'{last_day} '}{last} UTC"


def commands_of(folder: Path) -> list[tuple[str, str]]:
    """Return purpose and command to run the study again (if Hydra recorded a launch), check it and write this page.

    Raises:
        ExperimentError: Hydra's ``multirun.yaml`` cannot be read.
    """
    place = shlex.quote(str(place_of(folder)))
    commands = [
        ("Re-score the saved runs and refuse drift", f"python -m experiments.study verify {place}"),
        ("Write the tables and this page again", f"python -m experiments.report {place}"),
    ]
    path = folder / MULTIRUN
    if not path.is_file():
        return commands
    launched = read_launch(path)
    given = [*launched["task"], *(name for name in launched["hydra"] if not name.startswith("hydra.mode="))]
    given = [name.removeprefix("+") if name.startswith("+sweeps=") else name for name in given]
    run = shlex.join(["python", "-m", "experiments.study", "run", *given])
    return [("Run the study again (its last launch; finished jobs are skipped)", run), *commands]
