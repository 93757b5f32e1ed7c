"""Damage the files of a saved study, and read it by every command."""

import atexit
import gzip
import io
import json
import math
import random
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from stress.fuzzing.damages import HARMLESS, damaged, damaged_bytes, with_another_value
from stress.fuzzing.study_template import sound_files, write_template
from stress.fuzzing.verdicts import Outcome, judge, wrong_message

from experiments import compare, report
from experiments.analysis.combine import combine
from experiments.analysis.findings import findings_of
from experiments.analysis.load import read_study
from experiments.job_files.archive import keep_study, study_folder
from experiments.job_files.status import DONE
from experiments.reporting.page.page import page_of
from experiments.reporting.plots.build import figures_of
from experiments.reporting.summary import latex, markdown, print_findings
from experiments.reporting.tables.render import to_csv
from experiments.reporting.tables.results import result_rows
from experiments.studies import commands, cost_estimate
from experiments.studies.jobs import jobs_in, saved_overrides

READ_BY = {  # beginning of a file's name -> the commands that read it
    "status": ("status", "load", "report", "verify", "keep", "rates"),
    "config": ("status", "report", "compare", "verify", "keep", "rerun", "rates"),
    "metrics": ("load", "report", "compare", "verify", "keep", "rates"),
    "history": ("status", "report", "keep"),
    "per_query": ("load", "report", "verify", "keep"),
    "run": ("verify",),
    "answers": ("report",),
    "table": ("report", "keep", "compare"),
    "grid": ("status", "load", "keep"),
    "multirun": ("report", "keep"),
    "overrides": ("rerun",),
    "hydra": ("rerun",),
}
LONGEST_LINE, LONGEST_OUTPUT = 2_000, 100_000  # letters that a command prints
Said = tuple[str, list[str], Any]  # what a command prints, the reasons of jobs that it refuses, its numbers


@cache
def template() -> Path:
    """Return the sound study, written once a process."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-study-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return write_template(folder)


def _console() -> Console:
    return Console(file=io.StringIO(), width=1000, highlight=False)


def _printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _status(study: Path, out: Path) -> Said:
    console, jobs = _console(), jobs_in(study)
    commands.status(jobs, console)
    refused = [str(job.status.why) for job in jobs if job.status.state != DONE]
    return _printed(console), refused, [(job.status.step, job.status.groups, job.budget) for job in jobs]


def _load(study: Path, out: Path) -> Said:
    jobs = read_study(study)
    means = {
        job.name: {
            stage: {m: float(v.mean()) for m, v in table.columns.items()} for stage, table in job.per_query.items()
        }
        for job in jobs
    }
    return "", [job.reason for job in jobs if not job.finished], means


def _report(study: Path, out: Path, drawn: bool = False) -> Said:
    console, findings = _console(), findings_of(study)
    print_findings(findings, console)
    figures = figures_of(findings) if drawn else []
    texts = [markdown(findings), latex(findings), to_csv(*result_rows(findings)), page_of(findings, figures)]
    for number, text in enumerate(texts):
        (out / f"{number}.txt").write_text(text, encoding="utf-8")
    numbers = [(result.mean, result.comparison and result.comparison.mean) for result in findings.results]
    return _printed(console), [job.reason for job in findings.jobs if not job.finished], numbers


def _drawn_report(study: Path, out: Path) -> Said:
    findings = findings_of(study)
    report.write(findings, out)
    return _report(study, out, drawn=True)


def _compare(study: Path, out: Path) -> Said:
    combined = combine([str(study)], offline=True)
    compare.write(combined, out)
    findings = combined.findings
    return "", [job.reason for job in findings.jobs if not job.finished], [result.mean for result in findings.results]


def _verify(study: Path, out: Path) -> Said:
    console = _console()
    code = commands.verify(jobs_in(study), console)
    said = _printed(console)
    return said, [said] if code or "not verified" in said else [], None


def _keep(study: Path, out: Path) -> Said:
    kept = keep_study(study, out)
    _, refused, numbers = _load(study_folder(kept.path), out)
    return "", [*refused, *kept.left_out.values()], numbers


def _rerun(study: Path, out: Path) -> Said:
    folders = [job.folder for job in jobs_in(study)]
    return "", [], [(overrides, [str(folder) for folder in own]) for overrides, own in saved_overrides(folders)]


def _rates(study: Path, out: Path) -> Said:
    setting = cost_estimate.Setting("tiny", "cross_encoder", 128, "cpu", 1, "", "")
    return "", [], str(cost_estimate.rates_in(study.parent, [setting], {}))


COMMANDS: dict[str, Callable[[Path, Path], Said]] = {
    "status": _status, "load": _load, "report": _report, "compare": _compare, "verify": _verify, "keep": _keep,
    "rerun": _rerun, "rates": _rates, "drawn report": _drawn_report,
}  # fmt: skip


@cache
def _sound(command: str) -> Said:
    with tempfile.TemporaryDirectory() as scratch:
        return COMMANDS[command](template(), Path(scratch))


def fuzz(rng: random.Random, folder: Path) -> tuple[str, Outcome, bytes]:
    """Damage one file of the study and give it to one command; returns what was done, the outcome, and the bytes."""
    study = template()
    path = rng.choice(list(sound_files(study)))
    command = rng.choice(READ_BY[path.name.partition(".")[0]])
    if command == "report" and rng.random() < 0.03:
        command = "drawn report"
    what, content = _damaged(rng, path, path.read_bytes())
    return f"{command}: {path.relative_to(study)}: {what}", said_of(command, path, content, what, folder), content


def said_of(command: str, path: Path, content: bytes, what: str, folder: Path) -> Outcome:
    """Judge a command on the study with another content of one of its files. ``folder``: for what it writes."""
    before, sound = path.read_bytes(), _sound(command)
    (folder / path.name).write_bytes(content)  # for --keep
    path.write_bytes(content)
    try:
        outcome = judge(
            lambda: COMMANDS[command](template(), folder),
            lambda said: _wrong(said, sound, command, what, before, content, path),
            harmless=what in HARMLESS,
            place=str(template()),
        )
    finally:
        path.write_bytes(before)
    return outcome


def _damaged(rng: random.Random, path: Path, content: bytes) -> tuple[str, bytes]:
    if path.suffix == ".gz":
        if rng.random() < 0.5:
            name, inner = damaged(rng, gzip.decompress(content))
            return name, gzip.compress(inner)
        return damaged_bytes(rng, content)
    if path.suffix in (".json", ".yaml") and rng.random() < 0.6:
        value = json.loads(content) if path.suffix == ".json" else yaml.safe_load(content)
        what, changed = with_another_value(rng, value)
        if path.suffix == ".json":
            return what, json.dumps(changed, indent=1).encode()
        return what, yaml.safe_dump(changed, sort_keys=False).encode("utf-8", "replace")
    return damaged(rng, content)


def _wrong(said: Said, sound: Said, command: str, what: str, before: bytes, content: bytes, path: Path) -> str | None:
    printed, refused, numbers = said
    printed.encode()  # half characters cannot be printed
    for reason in refused:
        if command != "verify" and (problem := wrong_message(reason, str(template()))):
            return f"a job's reason is {problem}"
    if len(printed) > LONGEST_OUTPUT or any(len(line.rstrip()) > LONGEST_LINE for line in printed.split("\n")):
        return f"{len(printed):,} letters are printed: {printed[:200]!r}"
    if any(isinstance(number, float) and not math.isfinite(number) for number in _flat(numbers)):
        return f"a number that is none: {numbers}"
    if what in HARMLESS and (numbers != sound[2] or len(refused) != len(sound[1])):
        return f"a sound file is read otherwise: {str(numbers)[:200]}, not {str(sound[2])[:200]} {refused[:1]}"
    if command == "verify" and not refused and _other_results(before, content, path):
        return "changed results are verified without a difference"
    return None


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [each for inner in value.values() for each in _flat(inner)]
    return [each for inner in value for each in _flat(inner)] if isinstance(value, list | tuple) else [value]


def _other_results(before: bytes, content: bytes, path: Path) -> bool:
    """Return whether a file of results says other numbers than before."""
    try:
        if path.name.startswith("per_query"):
            old, new = ([line.split("\t") for line in each.decode().split("\n")] for each in (before, content))
            return sorted(map(str, _numbers(old))) != sorted(map(str, _numbers(new)))
        if path.name == "metrics.json":
            old, new = (json.loads(each)["test"]["bm25"] for each in (before, content))
            names = ("RR@10", "nDCG@10", "first_stage")
            return any(_apart(old[name], new.get(name)) for name in names)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return True
    return False


def _numbers(rows: list[list[str]]) -> list[list[Any]]:
    header, *rest = [row for row in rows if row != [""]]
    return [[row[0].strip(), *map(float, row[1:])] for row in rest]


def _apart(old: Any, new: Any) -> bool:
    if isinstance(old, dict):
        return any(_apart(value, new.get(name)) for name, value in old.items())
    return abs(float(old) - float(new)) > 1e-5
