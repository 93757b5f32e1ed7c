"""Print a study's findings in the terminal, and write them as Markdown and LaTeX."""

from rich.console import Console
from rich.text import Text

from experiments.analysis.findings import Findings
from experiments.analysis.load import mixed_code
from experiments.common.text import plural
from experiments.job_files.status import UNREADABLE
from experiments.reporting.headline import details, headline
from experiments.reporting.tables.by_first_stage import first_stage_tables
from experiments.reporting.tables.depths import depth_table
from experiments.reporting.tables.layers import layer_tables
from experiments.reporting.tables.over_sets import over_sets_tables
from experiments.reporting.tables.published import claims_table, published_table
from experiments.reporting.tables.render import latex_comment, latex_label, to_latex, to_markdown
from experiments.reporting.tables.results import MARK, left_out, legend, result_table
from experiments.reporting.tables.table import Table
from experiments.reporting.tables.terminal import listing_of, print_tables


def measured_tables(findings: Findings) -> list[Table]:
    """Return the tables of measured values."""
    results = [result_table(findings, group) for group in findings.groups]
    depths = [table for group in findings.groups if (table := depth_table(group)) is not None]
    over = over_sets_tables(findings.groups)
    return [*results, *first_stage_tables(findings.groups), *depths, *over, *layer_tables(findings.jobs)]


def tables_of(findings: Findings) -> list[Table]:
    """Return all tables of a study, in the order of every report."""
    declared = (published_table(findings), claims_table(findings.verdicts))
    return [*measured_tables(findings), *(table for table in declared if table is not None)]


def print_findings(findings: Findings, console: Console) -> None:
    """Print the headline, the tables, their legend, and the jobs without results."""
    console.print(Text(f"{headline(findings)}\n", style="bold"))
    tables = tables_of(findings)
    print_tables(tables, console)
    shown = {name for table in tables for name in table.columns if name not in table.details}
    hidden = {name for table in tables for name in table.details} - shown
    console.print(listing_of(((name, text) for name, text in legend(findings) if name not in hidden), style="dim"))
    if mixed := mixed_code(findings.jobs):
        console.print(Text(f"\n{mixed}"))
    if missing := left_out(findings.jobs):
        console.print(Text(f"\nNot in the table, {len(missing)} of {plural(len(findings.jobs), 'job')}:"))
        for name, state, why in missing:
            style = "red" if state in ("failed", UNREADABLE) else ""
            console.print(Text.assemble(f"{name}  ", (state, style), f"  {why}"))


def markdown(findings: Findings) -> str:
    """Return the document as GitHub-flavoured Markdown."""
    parts = [f"# {findings.title}", " ".join([headline(findings), *details(findings)])]
    parts += map(to_markdown, tables_of(findings))
    parts.append("\n".join(f"- **{name.replace(MARK, f'`{MARK}`')}** {text}" for name, text in legend(findings)))
    if mixed := mixed_code(findings.jobs):
        parts.append(mixed)
    if missing := left_out(findings.jobs):
        parts.append(f"Not in the table, {len(missing)} of {plural(len(findings.jobs), 'job')}:")
        parts.append("\n".join(f"- `{name}` {state}: {why}" for name, state, why in missing))
    return "\n\n".join(parts) + "\n"


def latex(findings: Findings) -> str:
    """Return the tables as LaTeX floats for ``\\input``; they need the package booktabs."""
    name = latex_label(findings.folder.name)
    floats = [to_latex(table, f"{name}-{number}") for number, table in enumerate(tables_of(findings), 1)]
    return "\n".join([rf"{latex_comment(findings.folder.name)}: needs \usepackage{{booktabs}}", "", *floats])
