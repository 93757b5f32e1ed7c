"""The head of the page: what the study is, and in a few sentences what it found."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from experiments.analysis.findings import Findings, Result
from experiments.analysis.settings import seed_of
from experiments.common.text import interval, p_value, plural, proper_name, signed, word
from experiments.reporting.page.naming import cell_name, phrase_of, reference_of
from experiments.reporting.page.provenance import Provenance, revisions_of, span_of
from experiments.reporting.tables.results import left_out

STATES = ("supported", "contradicted", "undecided", "missing")  # verdicts, in the order in which they are counted


@dataclass(frozen=True)
class Overview:
    """``facts``: what the study is made of, as pairs of a name and a text. ``sentences``: what it found."""

    facts: tuple[tuple[str, str], ...]
    sentences: tuple[str, ...]


def overview_of(findings: Findings, jobs: list[Provenance]) -> Overview:
    """The head of a study's page. ``jobs``: where its results come from."""
    sentences = [*_best(findings), _claims(findings), _jobs(findings)]
    return Overview(tuple(_facts(findings, jobs)), tuple(sentences))


def _facts(findings: Findings, jobs: list[Provenance]) -> Iterable[tuple[str, str]]:
    table = findings.table
    if table is not None:
        yield "Published table", table.source
    data = ", ".join(dict.fromkeys(block.data for block in findings.blocks))
    published_on = table.data if table is not None and table.published else None
    elsewhere = f"; published values: {published_on}" if published_on not in (None, data) else ""
    yield "Data", f"{data or 'none measured yet'}{elsewhere}"
    yield "Measure", findings.measure
    finished = [job for job in findings.jobs if job.finished]
    yield "Jobs", f"{len(finished):,} finished of {len(findings.jobs):,}"
    seeds = list(dict.fromkeys(word(seed_of(job)) for job in finished))
    yield "Seeds", f"{len(seeds)} ({', '.join(sorted(seeds, key=lambda seed: (len(seed), seed)))})" if seeds else "-"
    queries = [
        f"{len(block.query_ids):,} ({phrase_of('first_stage', block.first_stage)}"
        f"{f', {block.data}' if ',' in data else ''})"
        for block in findings.blocks
    ]
    yield "Test queries", ", ".join(queries) or "-"
    if made := span_of(jobs):
        yield "Made", made
    if revisions := revisions_of(jobs):
        altered = "; + marks a checkout with altered files" if any(one.endswith("+") for one in revisions) else ""
        yield "Code", f"git {', '.join(revisions)}{altered}"


def _best(findings: Findings) -> list[str]:
    """A sentence on the cell with the highest mean of each data set."""
    by_data: dict[str, list[Result]] = {}
    for result in findings.results:
        by_data.setdefault(result.block.data, []).append(result)
    if not by_data:
        return ["No job has finished yet, so there is nothing to report."]
    return [_best_of(findings, data, results) for data, results in by_data.items()]


def _best_of(findings: Findings, data: str, results: list[Result]) -> str:
    best = max(results, key=lambda result: result.mean)
    block, comparison = best.block, best.comparison
    name = cell_name(best.cell.labels, block.axes)
    spread = "" if best.cell.sd is None else f" ± {best.cell.sd:.3f}"
    stage = phrase_of("first_stage", block.first_stage)
    said = (
        f"Highest of {plural(len(results), 'cell', 'cells')} on {data}: {name} ({stage}), "
        f"{findings.measure} {best.mean:.3f}{spread} over {plural(len(best.cell.jobs), 'seed', 'seeds')}"
    )
    if comparison is None:
        return f"{said}; the others are compared with it."
    return (
        f"{said}; against {reference_of(findings, block)} {signed(comparison.mean)} "
        f"{interval(comparison.low, comparison.high)}, p {p_value(best.p_holm)} after Holm. "
        f"{proper_name(block.reference)} itself has {block.first_stage_mean:.3f}."
    )


def _claims(findings: Findings) -> str:
    if not findings.verdicts:
        return "No claims are declared for this study."
    states = Counter(verdict.state for verdict in findings.verdicts)
    counts = ", ".join(f"{states[state]} {state}" for state in STATES if states[state])
    return f"{plural(len(findings.verdicts), 'claim', 'claims')}: {counts}."


def _jobs(findings: Findings) -> str:
    missing = left_out(findings.jobs)
    said = [f"All {len(findings.jobs)} jobs have finished."] if not missing else []
    if missing:
        states = Counter(state for _, state, _ in missing)
        counts = ", ".join(f"{number} {state}" for state, number in states.items())
        finished = len(findings.jobs) - len(missing)
        said.append(f"{finished} of {plural(len(findings.jobs), 'job', 'jobs')} finished; {counts}.")
    if findings.missing:
        count = plural(len(findings.missing), "published cell has", "published cells have")
        said.append(f"{count} no finished job.")
    return " ".join(said)
