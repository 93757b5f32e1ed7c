"""A study's page: one HTML file with all that it needs inside, for a browser, for print, for an appendix.

It asks the network for nothing (its content security policy forbids it), and is readable without JavaScript, which
only sorts, switches between light and dark, and compares two jobs query by query. The same study gives the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.analysis.findings import Findings
from experiments.common.cache import write_atomic
from experiments.job_files.records import mixed_code
from experiments.reporting.page.claims import claim_rows
from experiments.reporting.page.overview import overview_of
from experiments.reporting.page.provenance import commands_of, provenance_of
from experiments.reporting.page.published import caption_of, grids_of, notes_of
from experiments.reporting.page.queries import QUERIES, as_json, queries_payload
from experiments.reporting.page.results import listing_of

if TYPE_CHECKING:
    from experiments.reporting.plots.figure import Picture

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """A part of the page. ``reading``: how to read it; ``empty``: why it may be empty, and what would fill it.
    ``pictures``: the sections of the pictures that stand in it.
    """

    id: str
    title: str
    reading: str
    empty: str = ""
    pictures: tuple[str, ...] = ()


SECTIONS = (
    Section(
        "table",
        "Published and measured",
        "Each cell: what was published, and beside it what these jobs measured.",
        "No published table is declared for this study: the key table of a sweep declares one.",
    ),
    Section(
        "results",
        "All results",
        "A row a setting, its seeds averaged; a click on a column's name sorts by it.",
        "No job has finished: python -m experiments.study run starts them, status says why they stopped.",
    ),
    Section(
        "claims",
        "Claims",
        "Supported or contradicted: significant at 5 %, corrected for all claims and their pairs (Holm). Undecided: "
        "neither, or only one seed a setting. Missing: its cells have not been measured.",
        "No claims are declared for this study: the key table.claims of a sweep declares them.",
        ("claims",),
    ),
    Section(
        "curves",
        "Curves",
        "The measure over the number of negatives, over the pairs seen in training, over layers and over steps.",
        "There is nothing to draw a line through: run the study with two or more numbers of negatives "
        "(negatives.count=1,3,7), and with probe=all_layers for curves over layers.",
        ("negatives", "layers", "steps"),
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
        "higher, and what stands in its place. The address of this page keeps the choice.",
        "No job has finished, so there are no queries to compare: python -m experiments.study run starts them.",
    ),
    Section(
        "provenance",
        "Provenance",
        "Where each number comes from, and how to make it again. Config is the hash of all that decides a job's "
        "outcome; inputs are the fingerprints of the collection and of other weights; cache counts entries of the "
        "store.",
    ),
)


def write_page(findings: Findings, pictures: Sequence["Picture"], path: Path) -> Path:
    """Write the page of a study, with these pictures in it; returns its path.

    Raises:
        ExperimentError: a file of the study (a job's answers, Hydra's note of the launch) is malformed.
    """
    write_atomic(path, page_of(findings, pictures))
    return path


def page_of(findings: Findings, pictures: Sequence["Picture"]) -> str:
    """The page as text; see ``write_page``."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jobs = provenance_of(findings)
    page = environment.get_template("template.html").render(
        title=findings.title,
        study=findings.folder.name,
        overview=overview_of(findings, jobs),
        sections=SECTIONS,
        grids=[(grid, caption_of(grid)) for grid in grids_of(findings)],
        grid_notes=notes_of(findings),
        listing=listing_of(findings),
        mixed_code=mixed_code(findings.jobs),
        claims=claim_rows(findings),
        pictures=_placed(pictures),
        stages=findings.blocks,
        queries=QUERIES,
        data=Markup(as_json(queries_payload(findings))),
        jobs=jobs,
        commands=commands_of(findings.folder),
        style=Markup(_text("page.css")),
        script=Markup(_text("page.js")),
    )
    return page.encode("utf-8", "replace").decode("utf-8")


def _placed(pictures: Sequence["Picture"]) -> dict[str, list[dict[str, Any]]]:
    """The pictures of each section of the page, as SVG."""
    from markupsafe import Markup

    if not pictures:
        return {section.id: [] for section in SECTIONS}
    from experiments.reporting.plots.figure import svg

    return {
        section.id: [
            {"name": one.name, "title": one.title, "caption": one.caption, "svg": Markup(svg(one))}
            for kind in section.pictures
            for one in pictures
            if one.section == kind
        ]
        for section in SECTIONS
    }


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
