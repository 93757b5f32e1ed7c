"""Tabulate the results of a study: one table per data set and first stage, one row per setting.

The first row is the first stage itself. Every other row has its difference to the reference (the first stage, unless
the study's table names a setting) with an interval. The intervals do not compare two rows.
"""

from collections.abc import Sequence
from typing import Any

from experiments.analysis.findings import Findings, Result
from experiments.analysis.load import JobResult
from experiments.analysis.settings import PLACED, ResultGroup
from experiments.common.text import count, decimals, interval, p_value, plural, signed
from experiments.evaluation.measure_names import mean_name
from experiments.job_files.archive import home_of
from experiments.reporting.names import (
    THIS_SEED,
    axes_of,
    group_heading,
    label_heading,
    measured_queries,
    proper_name,
    reference_name,
    value_name,
)
from experiments.reporting.tables.table import Table

MARK = "*"
PUBLISHED = ("published", "mark", "status")  # columns of a study with published values
FIGURES = (
    "queries", "seeds", "value", "sd", "reference", "difference", "low", "high", "over", "excludes_zero", "p", "p_holm",
    "p_t", "p_permutation", "wins", "ties", "losses", "detectable", *PUBLISHED, "pairs", "seconds", "jobs",
)  # fmt: skip


def results_of(findings: Findings, group: ResultGroup) -> list[Result]:
    """Return the results of a group, in the order of its settings."""
    return [result for result in findings.results if result.group is group]


def versus(findings: Findings, group: ResultGroup) -> str:
    """Name the column of differences: ``vs BM25``, or ``vs reference`` if a setting is the reference."""
    reference = findings.reference[group.data, group.first_stage]
    return f"vs {proper_name(reference)}" if reference == group.reference else "vs reference"


def result_table(findings: Findings, group: ResultGroup) -> Table:
    """Return the table of a group."""
    results = results_of(findings, group)
    labels = ["loss", "negatives", *group.axes]
    several = group.seed_counts[-1] > 1
    spread, p = (["sd"], ["p"]) if several else ([], [])
    seeds = ["seeds"] if len(group.seed_counts) > 1 else []
    figures = [mean_name(group.measure), *spread, *seeds, versus(findings, group), "95 % interval", *p]
    columns = [*map(label_heading, labels), *figures, "win/tie/loss", "pairs", "seconds"]
    own = {"loss": f"{proper_name(group.reference)} alone", mean_name(group.measure): decimals(group.first_stage_mean)}
    rows = [own, *(_texts(findings, group, result) for result in results)]
    losses = [result.setting.labels.get("loss") for result in results]
    return Table(
        title=group_heading(group),
        columns=tuple(columns),
        rows=tuple(tuple(row.get(column, "") for column in columns) for row in rows),
        words=frozenset(map(label_heading, ("loss", *group.axes))),
        labels=len(labels),
        breaks=frozenset({0, *(i for i in range(1, len(losses)) if losses[i - 1] != losses[i])}),
        notes=tuple(_notes(findings, group, results)),
        details=frozenset({*p, "win/tie/loss"}),
    )


def _texts(findings: Findings, group: ResultGroup, result: Result) -> dict[str, str]:
    setting, difference = result.setting, result.comparison
    labels = ("loss", "negatives", *group.axes)
    texts = {
        **{label_heading(name): value_name(name, setting.labels.get(name)) for name in labels},
        mean_name(group.measure): decimals(setting.mean),
        "sd": decimals(setting.sd),
        "seeds": str(len(setting.jobs)),
        "pairs": count(setting.compute("pairs")),
        "seconds": count(setting.compute("seconds")),
    }
    if difference is None:
        return texts | {versus(findings, group): "reference"}
    return texts | {
        versus(findings, group): f"{signed(difference.mean)} {MARK if result.excludes_zero else ' '}",
        "95 % interval": interval(difference.low, difference.high),
        "p": p_value(result.p_holm),
        "win/tie/loss": f"{difference.wins}/{difference.ties}/{difference.losses}",
    }


def _notes(findings: Findings, group: ResultGroup, results: Sequence[Result]) -> list[str]:
    """Describe a group's queries, seeds, shared labels, reference, detectable difference and ties."""
    seeds = plural(group.seed_counts[0], "seed")
    if len(group.seed_counts) > 1:
        seeds = f"{group.seed_counts[0]} to {group.seed_counts[-1]} seeds a row"
    elif len(different := {setting.seeds for setting in group.settings}) > 1:
        seeds += " a row"
    else:
        seeds += f" ({', '.join(map(str, different.pop()))})"
    notes = [f"{group.data}: {measured_queries(group)}, {seeds}."]
    if group.constants:
        shared = ", ".join(f"{name} {value_name(name, value)}" for name, value in group.constants.items())
        notes.append(f"All rows: {shared}.")
    if versus(findings, group) == "vs reference":
        notes.append(f"Reference: {reference_name(findings, group)}.")
    if group.seed_counts[0] == 1:
        rows = "Rows of one seed: interval" if group.seed_counts[-1] > 1 else "Intervals"
        notes.append(f"{rows} over {THIS_SEED}, so without a mark or a p value.")
    least = sorted(result.comparison.detectable for result in results if result.comparison is not None)
    if least:
        span = " to ".join(dict.fromkeys(decimals(value) for value in (least[0], least[-1])))
        sample = "queries and seeds" if group.seed_counts[-1] > 1 else "queries"
        notes.append(f"Smallest difference that these {sample} detect (80 % power): {span}.")
    tied = f"{plural(group.ties, 'tied score')} in all jobs, broken by first-stage rank."
    return [*notes, tied if group.ties else "No tied scores in any job."]


def legend(findings: Findings) -> list[tuple[str, str]]:
    """Return each column with its meaning, and the place of the files."""
    several = any(group.seed_counts[-1] > 1 for group in findings.groups)
    single = any(group.seed_counts[0] == 1 for group in findings.groups)
    spread = [("sd", "standard deviation over seeds of the mean over queries")] if several else []
    against = dict.fromkeys(versus(findings, group) for group in findings.groups)
    over = "queries and seeds" if several else THIS_SEED
    alone = f"; with one seed over {THIS_SEED}" if several and single else ""
    marks = [
        (MARK, "the interval excludes 0"),
        ("p", "of no difference, corrected for all rows of several seeds in the study (Holm)"),
    ]
    return [
        ("n", "negatives a query"),
        *spread,
        (", ".join(against), "difference to it, query by query" + (", seeds averaged" if several else "")),
        ("95 % interval", f"of that difference over {over}{alone}; not corrected for the number of rows"),
        *(marks if several else []),
        ("pairs", "query-passage pairs seen in training"),
        ("seconds", "wall clock of a job" + (", mean over seeds" if several else "")),
        ("files", f"{home_of(findings.folder)}/JOB: metrics.json, per_query.FIRST_STAGE.tsv"),
    ]


def left_out(jobs: Sequence[JobResult]) -> list[tuple[str, str, str]]:
    """Return name, state and reason of each job without results."""
    return [(job.name, job.state, job.reason) for job in jobs if not job.finished]


def result_rows(findings: Findings) -> tuple[list[str], list[list[Any]]]:
    """Return columns and unrounded rows for a CSV: one per first stage (without a loss) and one per setting."""
    groups = findings.groups
    labels = [*axes_of(groups), *(name for group in groups for name in group.constants)]
    declared = findings.table is not None and findings.table.published
    figures = [name for name in FIGURES if declared or name not in PUBLISHED]
    names = dict.fromkeys(name for name in labels if name not in PLACED)
    columns = list(dict.fromkeys(["data", "first_stage", "measure", "loss", "negatives", *names, *figures]))
    rows: list[dict[str, Any]] = []
    for group in groups:
        shared: dict[str, Any] = {"data": group.data, "first_stage": group.first_stage, "measure": group.measure}
        shared["queries"] = len(group.query_ids)
        rows.append({**shared, "value": group.first_stage_mean})
        reference = {"reference": reference_name(findings, group)}
        results = results_of(findings, group)
        rows += [{**result.setting.labels, **shared, **reference, **_figures(result)} for result in results]
    return columns, [[row.get(column) for column in columns] for row in rows]


def _figures(result: Result) -> dict[str, Any]:
    setting, difference, published = result.setting, result.comparison, result.published
    figures: dict[str, Any] = {
        "seeds": len(setting.jobs),
        "value": setting.mean,
        "sd": setting.sd,
        "p_holm": result.p_holm,
        "published": None if published is None else published.value,
        "mark": None if published is None else published.mark,
        "status": result.status,
        "pairs": setting.compute("pairs"),
        "seconds": setting.compute("seconds"),
        "jobs": " ".join(job.name for job in setting.jobs),
    }
    if difference is None:
        return figures
    measured = ("low", "high", "over", "p_t", "p_permutation", "wins", "ties", "losses", "detectable")
    figures |= {name: getattr(difference, name) for name in measured}
    if difference.over_seeds:
        figures |= {"p": difference.p, "excludes_zero": str(difference.excludes_zero).lower()}
    return figures | {"difference": difference.mean}
