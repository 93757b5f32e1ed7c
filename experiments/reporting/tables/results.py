"""The results of a study as tables: one a data set and first stage, a row a cell.

Each starts with the first stage itself; below it stands a row for each cell, with its difference to the reference (the
first stage, unless the study's table names a cell) and the interval of that difference over queries and seeds.
Differences between two rows are not what these intervals are about.
"""

import csv
import io
from collections.abc import Sequence

from experiments.analysis.findings import Findings, Result
from experiments.analysis.settings import PLACED, Block
from experiments.common.text import count, heading, interval, p_value, plural, proper_name, signed, word
from experiments.evaluation.comparison import Comparison
from experiments.job_files.records import MISSING, Job
from experiments.reporting.tables.table import Sheet

MARK = "*"
FIGURES = (
    "queries", "seeds", "value", "sd", "reference", "difference", "low", "high", "excludes_zero", "p", "p_holm", "p_t",
    "p_permutation", "wins", "ties", "losses", "detectable", "published", "mark", "status", "pairs", "seconds",
)  # fmt: skip


def results_of(findings: Findings, block: Block) -> list[Result]:
    """The results of a block, in the order of its cells."""
    return [result for result in findings.results if result.block is block]


def reference_of(findings: Findings, block: Block) -> str:
    """What a block's results are compared with, in words."""
    return proper_name(findings.reference[block.data, block.first_stage])


def versus(findings: Findings, block: Block) -> str:
    """The column of differences: ``vs BM25``, or where a cell is the reference ``vs reference``."""
    found = findings.reference[block.data, block.first_stage]
    return f"vs {proper_name(found)}" if found == block.reference else "vs reference"


def block_sheet(findings: Findings, block: Block, full: bool = False) -> Sheet:
    """A block as a table. ``full``: with p values and win/tie/loss counts, which a terminal has no room for."""
    columns = _columns(findings, block, full)
    own = {"loss": proper_name(block.reference), block.measure: f"{block.first_stage_mean:.3f}"}
    results = results_of(findings, block)
    losses = [word(result.cell.labels.get("loss")) for result in results]
    breaks = {0} | {i for i in range(1, len(losses)) if losses[i - 1] != losses[i]}
    rows = [[own.get(column, "") for column in columns]]
    rows += [_row(result, block, findings, columns) for result in results]
    return Sheet(
        heading(block),
        tuple(columns),
        tuple(tuple(row) for row in rows),
        frozenset({"loss", *block.axes}),
        frozenset(breaks),
        caption(findings, block),
    )


def _columns(findings: Findings, block: Block, full: bool) -> list[str]:
    """The spread and the number of seeds only where there is something to tell."""
    spread = ["sd"] if block.seed_counts[-1] > 1 else []
    seeds = ["seeds"] if len(block.seed_counts) > 1 else []
    counts = ["p", "win/tie/loss"] if full else []
    against = [versus(findings, block), "95 % interval"]
    return ["loss", "n", *block.axes, block.measure, *spread, *seeds, *against, *counts, "pairs", "seconds"]


def _row(result: Result, block: Block, findings: Findings, columns: Sequence[str]) -> list[str]:
    cell, found = result.cell, result.comparison
    texts = {
        "loss": word(cell.labels.get("loss")),
        "n": word(cell.labels.get("negatives")),
        **{axis: word(cell.labels.get(axis)) for axis in block.axes},
        block.measure: f"{cell.mean:.3f}",
        "sd": "-" if cell.sd is None else f"{cell.sd:.3f}",
        "seeds": str(len(cell.jobs)),
        versus(findings, block): "reference" if found is None else f"{signed(found.mean)} {_mark(found)}",
        "95 % interval": "" if found is None else interval(found.low, found.high),
        "p": "" if found is None else p_value(result.p_holm),
        "win/tie/loss": "" if found is None else f"{found.wins}/{found.ties}/{found.losses}",
        "pairs": count(cell.compute("pairs")),
        "seconds": count(cell.compute("seconds")),
    }
    return [texts[column] for column in columns]


def caption(findings: Findings, block: Block) -> str:
    """What a block was measured on, what its rows have in common, what it can tell apart, and its ties."""
    sentences = [f"{block.data}: {plural(len(block.query_ids), 'test query', 'test queries')}, {_seeds(block)}."]
    if block.constants:
        constants = ", ".join(f"{name} {word(value)}" for name, value in block.constants.items())
        sentences.append(f"All rows: {constants}.")
    if versus(findings, block) == "vs reference":
        sentences.append(f"Reference: {reference_of(findings, block)}.")
    least = sorted(one.comparison.detectable for one in results_of(findings, block) if one.comparison is not None)
    if least:
        span = f"{least[0]:.3f}" if f"{least[0]:.3f}" == f"{least[-1]:.3f}" else f"{least[0]:.3f} to {least[-1]:.3f}"
        sentences.append(f"Smallest difference that these queries and seeds detect (80 % power): {span}.")
    ties = f"{plural(block.ties, 'tied score', 'tied scores')} in all jobs, broken by first-stage rank."
    sentences.append(ties if block.ties else "No tied scores in any job.")
    return " ".join(sentences)


def legend(findings: Findings) -> list[tuple[str, str]]:
    """How to read the columns, and where the files lie: pairs of a column and its meaning."""
    several = any(block.seed_counts[-1] > 1 for block in findings.blocks)
    single = any(block.seed_counts[0] == 1 for block in findings.blocks)
    spread = [("sd", "standard deviation over seeds of the mean over queries")] if several else []
    against = dict.fromkeys(versus(findings, block) for block in findings.blocks)
    over = "queries and seeds" if several else "queries"
    alone = "; with one seed over queries alone, which says nothing of other seeds" if single else ""
    return [
        ("n", "negatives a query"),
        *spread,
        (", ".join(against), "difference to it, query by query" + (", seeds averaged" if several else "")),
        ("95 % interval", f"of that difference over {over}{alone}; not corrected for the number of rows"),
        (MARK, "the interval excludes 0"),
        ("p", "of no difference, corrected for all rows of the study (Holm)"),
        ("pairs", "query-passage pairs seen in training"),
        ("seconds", "wall clock of a job" + (", mean over seeds" if several else "")),
        ("files", f"{findings.folder}/JOB: metrics.json, per_query.FIRST_STAGE.tsv"),
    ]


def left_out(jobs: Sequence[Job]) -> list[tuple[str, str, str]]:
    """Name, state and the first line of why of each job that has no results to show."""
    why = {
        "running": "not finished, or interrupted: run the study again to resume it",
        MISSING: "never began: run the study again",
    }
    return [
        (job.name, job.state, job.error or why.get(job.state, "no reason was recorded"))
        for job in jobs
        if not job.finished
    ]


def csv_text(findings: Findings) -> str:
    """All results as one CSV, a row for each first stage and each cell, with unrounded values and the names of the jobs
    averaged. A first stage's own row has no loss.
    """
    blocks = findings.blocks
    labels = list(
        dict.fromkeys(name for block in blocks for name in (*block.axes, *block.constants) if name not in PLACED)
    )
    file = io.StringIO()
    fields = ["data", "first_stage", "measure", "loss", "negatives", *labels, *FIGURES, "jobs"]
    writer = csv.DictWriter(file, fields, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for block in blocks:
        shared = {"data": block.data, "first_stage": block.first_stage, "measure": block.measure}
        shared |= {"queries": str(len(block.query_ids))}
        writer.writerow({**shared, "value": block.first_stage_mean})
        reference = reference_of(findings, block)
        for result in results_of(findings, block):
            writer.writerow({**result.cell.labels, **shared, **_figures(result), "reference": reference})
    return file.getvalue()


def _figures(result: Result) -> dict[str, object]:
    cell, found, published = result.cell, result.comparison, result.published
    own: dict[str, object] = {
        "seeds": len(cell.jobs),
        "value": cell.mean,
        "sd": cell.sd,
        "p_holm": result.p_holm,
        "published": None if published is None else published.value,
        "mark": None if published is None else published.mark,
        "status": result.status,
        "pairs": cell.compute("pairs"),
        "seconds": cell.compute("seconds"),
        "jobs": " ".join(job.name for job in cell.jobs),
    }
    if found is None:
        return own
    measured = ("low", "high", "p", "p_t", "p_permutation", "wins", "ties", "losses", "detectable")
    excludes = str(found.excludes_zero).lower()
    return {
        **own,
        **{name: getattr(found, name) for name in measured},
        "difference": found.mean,
        "excludes_zero": excludes,
    }


def _mark(found: Comparison) -> str:
    return MARK if found.excludes_zero else " "


def _seeds(block: Block) -> str:
    if len(block.seed_counts) > 1:
        return f"{block.seed_counts[0]} to {block.seed_counts[-1]} seeds a row"
    different = {cell.seeds for cell in block.cells}
    text = plural(block.seed_counts[0], "seed", "seeds")
    return f"{text} ({', '.join(map(str, different.pop()))})" if len(different) == 1 else f"{text} a row"
