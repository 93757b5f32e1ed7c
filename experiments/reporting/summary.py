"""A study's findings as a document: what stands in it and in which order, in the terminal, as Markdown and as LaTeX."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.analysis.findings import Findings
from experiments.common.text import plural
from experiments.job_files.records import UNREADABLE, mixed_code
from experiments.reporting.tables.by_first_stage import matrix_sheets
from experiments.reporting.tables.layers import layer_sheets
from experiments.reporting.tables.published import CLAIMS_EXPLAINED, beside_sheet, claims_sheet
from experiments.reporting.tables.results import MARK, block_sheet, left_out, legend
from experiments.reporting.tables.table import Sheet, latex_sheet, markdown_sheet, print_sheets


def sheets_of(findings: Findings, full: bool = False) -> list[Sheet]:
    """All tables of a study. ``full``: with columns that a terminal has no room for, and the claims."""
    sheets = [block_sheet(findings, block, full) for block in findings.blocks]
    sheets += matrix_sheets(findings.blocks)
    sheets += layer_sheets(findings.jobs)
    further = (beside_sheet(findings), claims_sheet(findings.verdicts) if full else None)
    return sheets + [sheet for sheet in further if sheet is not None]


def print_findings(findings: Findings, console: Console) -> None:
    """Print the tables, how to read them, and the jobs that are not in them."""
    print_sheets(sheets_of(findings), console)
    _print_claims(findings, console)
    listing = Table.grid(padding=(0, 2, 0, 0))
    for term, meaning in legend(findings):
        listing.add_row(Text(term, style="dim"), Text(meaning, style="dim"))
    console.print(listing)
    if mixed := mixed_code(findings.jobs):
        console.print(Text(f"\n{mixed}"))
    if missing := left_out(findings.jobs):
        console.print(Text(f"\nNot in the table, {len(missing)} of {plural(len(findings.jobs), 'job', 'jobs')}:"))
        listing = Table.grid(padding=(0, 2, 0, 0))
        for name, state, why in missing:
            listing.add_row(Text(name), Text(state, style="red" if state in ("failed", UNREADABLE) else ""), Text(why))
        console.print(listing)


def _print_claims(findings: Findings, console: Console) -> None:
    """The claims as a list, whose sentences a table of columns would tear apart."""
    if not findings.verdicts:
        return
    console.print(Text("Claims\n", style="bold"))
    listing = Table.grid(padding=(0, 2, 1, 0))
    for verdict in findings.verdicts:
        listing.add_row(Text(verdict.state), Text(f"{verdict.claim.says}\n{verdict.needs}"))
    console.print(listing)
    console.print(Text(f"{CLAIMS_EXPLAINED}\n"))


def markdown(findings: Findings) -> str:
    """The tables as GitHub-flavoured Markdown, with the same captions."""
    parts = [f"# {findings.title}", *map(markdown_sheet, sheets_of(findings, full=True))]
    parts.append("\n".join(f"- **{term.replace(MARK, f'`{MARK}`')}** {meaning}" for term, meaning in legend(findings)))
    if mixed := mixed_code(findings.jobs):
        parts.append(mixed)
    if missing := left_out(findings.jobs):
        parts.append(f"Not in the table, {len(missing)} of {plural(len(findings.jobs), 'job', 'jobs')}:")
        parts.append("\n".join(f"- `{name}` {state}: {why}" for name, state, why in missing))
    return "\n\n".join(parts) + "\n"


def latex(findings: Findings) -> str:
    """The tables as LaTeX floats, to be included with ``\\input``; they need the package booktabs."""
    name = findings.folder.name.replace("_", "-")
    sheets = sheets_of(findings, full=True)
    floats = [latex_sheet(sheet, f"{name}-{number}") for number, sheet in enumerate(sheets, 1)]
    return "\n".join([f"% {findings.folder.name}: needs \\usepackage{{booktabs}}", "", *floats])
