"""List the facts of a study: data, measure, jobs, seeds, queries and code."""

from collections.abc import Iterable

from experiments.analysis.findings import Findings
from experiments.common.text import value_or_dash
from experiments.evaluation.measure_names import mean_name
from experiments.reporting.names import candidates_name
from experiments.reporting.page.provenance import Provenance, revisions_of, span_of


def facts_of(findings: Findings, jobs: list[Provenance]) -> Iterable[tuple[str, str]]:
    """Yield the name and text of each fact. ``jobs``: the provenance of the results."""
    table = findings.table
    if table is not None and table.published:
        yield "Published table", table.source
    data = ", ".join(dict.fromkeys(group.data for group in findings.groups))
    published_on = table.data if table is not None and table.published else None
    elsewhere = f"; published values: {published_on}" if published_on not in (None, data) else ""
    yield "Data", f"{data or 'none measured yet'}{elsewhere}"
    yield "Measure", mean_name(findings.measure)
    finished = [job for job in findings.jobs if job.finished]
    yield "Jobs", f"{len(finished):,} finished of {len(findings.jobs):,}"
    seeds = sorted({value_or_dash(job.seed) for job in finished}, key=lambda seed: (len(seed), seed))
    yield "Seeds", f"{len(seeds)} ({', '.join(seeds)})" if seeds else "-"
    queries = [
        f"{len(group.query_ids):,} ({candidates_name(group.first_stage)}{f', {group.data}' if ',' in data else ''})"
        for group in findings.groups
    ]
    yield "Test queries", ", ".join(queries) or "-"
    if made := span_of(jobs):
        yield "Made", made
    if revisions := revisions_of(jobs):
        altered = "; + marks a checkout with altered files" if any(name.endswith("+") for name in revisions) else ""
        yield "Code", f"git {', '.join(revisions)}{altered}"
