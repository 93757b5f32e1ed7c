"""Write a study's page: one self-contained HTML file for a browser or for print.

It loads nothing from the network (its content security policy forbids it) and is readable without JavaScript, which
sorts, switches between light and dark, and compares two jobs by query. The same study gives the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from experiments.analysis.findings import Findings
from experiments.analysis.load import mixed_code
from experiments.common.cache import write_atomic
from experiments.reporting.headline import details, headline
from experiments.reporting.page.overview import facts_of
from experiments.reporting.page.provenance import commands_of, provenance_of
from experiments.reporting.page.queries import QUERIES, as_json, queries_payload
from experiments.reporting.plots.figure import ReportFigure, svg
from experiments.reporting.summary import measured_tables
from experiments.reporting.tables.published import claims_table, pair_table, published_table
from experiments.reporting.tables.render import to_html
from experiments.reporting.tables.results import legend
from experiments.reporting.tables.table import Table

FOLDER = Path(__file__).parent
PUBLISHED = "published"  # the section of a study that declares published values


@dataclass(frozen=True)
class Section:
    """A part of the page.

    ``id``: anchor. ``title``: heading. ``reading``: how to read it. ``empty``: why it can be empty, and the remedy.
    ``figures``: the ``section`` of the figures it shows.
    """

    id: str
    title: str
    reading: str
    empty: str = ""
    figures: tuple[str, ...] = ()


SECTIONS = (
    Section(
        PUBLISHED,
        "Published and measured",
        "One row per published value, next to what these jobs measured.",
    ),
    Section(
        "results",
        "Results",
        "One row per setting, its seeds averaged. A click on a column's name sorts by it.",
        "No job has finished: python -m experiments.study run starts them, status says why they stopped.",
    ),
    Section(
        "claims",
        "Claims",
        "The claims about this study, and the verdict of these jobs.",
        "No claims are declared for this study: the key table.claims of a sweep declares them.",
        ("claims",),
    ),
    Section(
        "curves",
        "Curves",
        "The measure over the number of negatives, over the pairs seen in training, over the depth of re-ranking, over "
        "layers and over steps.",
        "No curve has two points: run the study with two or more numbers of negatives "
        "(negatives.count=1,3,7), and with probe=all_layers for curves over layers.",
        ("negatives", "depths", "layers", "steps"),
    ),
    Section(
        "diagnostics",
        "What the loss saw",
        "How training went, from each job's history: how many negatives still counted, how hard they were, how far the "
        "positive stood out.",
        "No finished job has a history of its training (history.tsv): jobs of earlier versions do not write one; "
        "delete their folders and run the study again.",
        ("diagnostics",),
    ),
    Section(
        "cost",
        "Cost and quality",
        "What a setting costs against what it reaches; up and to the left is better.",
        "At least two finished settings are needed to set cost against quality: run more of the study.",
        ("cost",),
    ),
    Section(
        "queries",
        "Query by query",
        "Two jobs, or a job and the first stage itself, on single queries: where one ranks the relevant passage "
        "higher, and what it ranks first. The address of this page keeps the choice.",
        "No job has finished, so there are no queries to compare: python -m experiments.study run starts them.",
    ),
    Section(
        "provenance",
        "Provenance",
        "Where each number comes from, and how to repeat it. Config: hash of all settings that decide a job's outcome. "
        "Inputs: fingerprints of the collection and of other weights. Cache: entries found and built.",
    ),
)


def write_page(findings: Findings, figures: Sequence[ReportFigure], path: Path) -> Path:
    """Write the page of a study with its figures, and return its path.

    Raises:
        ExperimentError: a file of the study (a job's answers, Hydra's ``multirun.yaml``) is malformed.
    """
    write_atomic(path, page_of(findings, figures))
    return path


def page_of(findings: Findings, figures: Sequence[ReportFigure]) -> str:
    """Return the page as text. Raises as ``write_page``."""
    loader = FileSystemLoader(FOLDER)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    jobs = provenance_of(findings)
    with_published = findings.table is not None and findings.table.published
    declared = {PUBLISHED: published_table(findings), "claims": claims_table(findings.verdicts)}
    tables = {section: [_html(table)] for section, table in declared.items() if table is not None}
    tables["results"] = [_html(table) for table in measured_tables(findings)]
    page = environment.get_template("template.html").render(
        title=findings.title,
        study=findings.folder.name,
        headline=headline(findings),
        details=details(findings),
        facts=list(facts_of(findings, jobs)),
        sections=[section for section in SECTIONS if with_published or section.id != PUBLISHED],
        tables=tables,
        legend=legend(findings),
        mixed_code=mixed_code(findings.jobs),
        evidence=[_html(pair_table(verdict)) for verdict in findings.verdicts if verdict.pairs],
        figures={section.id: _figures_in(section, figures) for section in SECTIONS},
        stages=findings.groups,
        queries=QUERIES,
        data=Markup(as_json(queries_payload(findings))),
        jobs=jobs,
        commands=commands_of(findings.folder),
        style=Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
        script=Markup((FOLDER / "page.js").read_text(encoding="utf-8")),
    )
    return page.encode("utf-8", "replace").decode("utf-8")


def _html(table: Table) -> tuple[str, Markup]:
    return table.title, Markup(to_html(table))


def _figures_in(section: Section, figures: Sequence[ReportFigure]) -> list[dict[str, Any]]:
    """Return the figures of a section, in its order, as SVG with title and caption."""
    return [
        {"name": figure.name, "title": figure.title, "caption": figure.caption, "svg": Markup(svg(figure))}
        for kind in section.figures
        for figure in figures
        if figure.section == kind
    ]
