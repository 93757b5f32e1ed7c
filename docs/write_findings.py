"""Write docs/findings.md and its figures from sweeps/results: ``make findings``, or ``python docs/write_findings.py``.

Each study has an archive, ``sweeps/results/<study>.zip`` (written by ``rerank-ablations study keep``), and a text,
``docs/findings/<study>.md``: YAML between two lines of three hyphens, then Markdown.

    ---
    title: How many negatives?
    question: Does MRR@10 rise with the number of negatives at equal computing?
    command: rerank-ablations study run sweeps=equal_compute scale=mini seed=1,2,3
    order: 1                            # on the page; optional, as all that follow
    figures: [rr10_by_negatives.bm25]   # of the report's figures; without it the first one
    measure: nDCG@10                    # another measure than the study's
    ---
    What was found, in a sentence or two. LCE with seven negatives has {{ mean loss=lce negatives=7 }}.

    ### What surprised

    ### What stayed undecided

README.md shows a study too, between ``<!-- findings: NAME -->`` and ``<!-- end of findings -->``: what was found, its
first table and first figure.

No number is typed: ``experiments.reporting.placeholders`` lists the placeholders, ``{{ quote 0.412 from SOURCE }}`` is
for what others have published, and a decimal number outside of them is an error. Tables, claims, figures and the line
on machine, versions and cost come from the archive, by the code that ``rerank-ablations report`` uses. Links in a text
are as seen from docs/.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a script, from anywhere
    sys.path.insert(0, str(ROOT))

from experiments.analysis.findings import Findings, findings_of  # noqa: E402
from experiments.common.cache import write_atomic  # noqa: E402
from experiments.common.errors import ExperimentError  # noqa: E402
from experiments.common.text import count, duration, plural  # noqa: E402
from experiments.job_files.archive import as_given, manifest_of, study_folder  # noqa: E402
from experiments.job_files.status import read_status  # noqa: E402
from experiments.reporting.headline import details, headline  # noqa: E402
from experiments.reporting.page.provenance import provenance_of, revisions_of, span_of  # noqa: E402
from experiments.reporting.placeholders import fill, seconds_of, typed_decimals  # noqa: E402
from experiments.reporting.plots.build import figures_of  # noqa: E402
from experiments.reporting.plots.figure import ReportFigure  # noqa: E402
from experiments.reporting.plots.style import DPI, styled  # noqa: E402
from experiments.reporting.summary import measured_tables  # noqa: E402
from experiments.reporting.tables.published import published_table  # noqa: E402
from experiments.reporting.tables.render import to_markdown  # noqa: E402
from experiments.reporting.tables.table import Table  # noqa: E402

RESULTS, TEXTS = Path("sweeps", "results"), Path("docs", "findings")
PAGE, IMAGES = Path("docs", "findings.md"), Path("docs", "images", "findings")
README = Path("README.md")
PLACE = re.compile(r"(<!-- findings: (\S+) -->\n).*?(<!-- end of findings -->)", re.DOTALL)
HEAD = re.compile(r"---\n(.*?)\n---\n(.*)", re.DOTALL)
NEEDED, KEYS = ("title", "question", "command"), ("title", "question", "command", "order", "figures", "measure")
SURPRISED, UNDECIDED = "### What surprised", "### What stayed undecided"
TOP = """\
# Findings

<!-- written by docs/write_findings.py: edit docs/findings/ instead, and run make findings -->

"""
READING = """\
`make findings` draws every table, figure and number of this page from the files in `sweeps/results`, without training.
"""
NONE = """\
No study has been kept yet: `rerank-ablations study keep outputs/quickstart` writes the results of one into
`sweeps/results`.
"""
LEGEND = """\
Intervals are 95 % intervals of a difference, over queries and seeds (over queries alone where there is one seed, which
says nothing of other seeds); `*`: it excludes 0. `sd`: over seeds, of the mean over queries. `pairs`: query-passage
pairs seen in training. `seconds`: wall clock of a job. [Statistics](statistics.md) has the tests.
"""


@dataclass(frozen=True)
class Study:
    """A study of the page. ``head``: the YAML of its text; ``body``: its Markdown, placeholders and all."""

    name: str
    archive: Path
    text: Path
    head: Mapping[str, Any]
    body: str
    findings: Findings


def read_studies(root: Path) -> list[Study]:
    """Return the studies that have an archive and a text, in the page's order.

    Raises:
        ExperimentError: one lacks the other, or cannot be read; the message names the file.
    """
    archives = {path.stem: path for path in sorted((root / RESULTS).glob("*.zip"))}
    texts = {path.stem: path for path in sorted((root / TEXTS).glob("*.md"))}
    if alone := sorted(archives.keys() - texts.keys()):
        raise ExperimentError(f"{RESULTS / alone[0]}.zip has no text: write {TEXTS / alone[0]}.md")
    if alone := sorted(texts.keys() - archives.keys()):
        raise ExperimentError(
            f"{TEXTS / alone[0]}.md has no results: write {RESULTS / alone[0]}.zip by rerank-ablations study keep"
        )
    studies = [_read_study(name, archives[name], texts[name]) for name in archives]
    return sorted(studies, key=lambda study: (study.head.get("order", len(studies)), study.name))


def _read_study(name: str, archive: Path, text: Path) -> Study:
    where = TEXTS / text.name
    written = text.read_text(encoding="utf-8")
    if typed := typed_decimals(written):
        line, number = typed[0]
        raise ExperimentError(
            f"{where}, line {line}: {number} is typed; write a placeholder, or quote it with its source"
        )
    parts = HEAD.fullmatch(written)
    if parts is None:
        raise ExperimentError(f"{where} does not begin with its title, question and command between two lines of ---")
    try:
        head = yaml.safe_load(parts[1])
    except yaml.YAMLError as error:
        raise ExperimentError(f"{where}: {' '.join(str(error).split())}") from error
    if not isinstance(head, Mapping) or (missing := [key for key in NEEDED if not head.get(key)]):
        raise ExperimentError(f"{where} has no {missing[0] if isinstance(head, Mapping) else NEEDED[0]}")
    if unknown := [key for key in head if key not in KEYS]:
        raise ExperimentError(f"{where}: there is no key {unknown[0]}; the keys are {', '.join(KEYS)}")
    for heading in (SURPRISED, UNDECIDED):
        if f"\n{heading}\n" not in f"\n{parts[2]}\n":
            raise ExperimentError(f"{where} has no section '{heading}'")
    findings = findings_of(study_folder(archive), head.get("measure"))
    lines_before = written.count("\n", 0, parts.start(2))  # a message counts the lines of the file
    return Study(name, archive, text, head, "\n" * lines_before + parts[2], findings)


def page_of(studies: Sequence[Study], figures: Mapping[str, Sequence[ReportFigure]]) -> str:
    """Return the page as Markdown. ``figures``: those of each study."""
    if not studies:
        return f"{TOP}{NONE}"
    findings = {study.name: study.findings for study in studies}
    rows = ["| question | found |", "|---|---|"]
    for study in studies:
        title = str(study.head["title"])
        rows.append(f"| [{title}](#{_anchor(title)}) | {headline(study.findings)} |")
    sections = [_section(study, findings, figures[study.name]) for study in studies]
    return TOP + "\n\n".join([READING.strip(), "\n".join(rows), LEGEND.strip(), *sections]) + "\n"


def _anchor(title: str) -> str:
    """Return the anchor that a site and a code host give to a heading."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower())


def _section(study: Study, findings: Mapping[str, Findings], figures: Sequence[ReportFigure]) -> str:
    body = fill(study.body, findings, study.name, str(TEXTS / study.text.name)).strip()
    found, marked, rest = body.partition(SURPRISED)
    published = published_table(study.findings)
    tables = [*measured_tables(study.findings), *([published] if published is not None else [])]
    parts = [f"## {study.head['title']}", str(study.head["question"]).strip()]
    parts += [" ".join([f"**{headline(study.findings)}**", *details(study.findings)]), found.strip()]
    parts += [*map(_table, tables), _claims(study.findings)]
    parts += [_shown(study, figure) for figure in figures]
    parts += [f"{marked}{rest}".strip(), _repeat(study), f"<sub>{_provenance(study)}</sub>"]
    return "\n\n".join(part for part in parts if part)


def _table(table: Table) -> str:
    """Return a table without the columns that a terminal leaves out too."""
    shown = table.only([place for place, name in enumerate(table.columns) if name not in table.details])
    return f"#{to_markdown(shown)}"  # under the study's heading


def readme_of(text: str, studies: Sequence[Study], figures: Mapping[str, Sequence[ReportFigure]]) -> str:
    """Return the README with what its studies found.

    Raises:
        ExperimentError: it names a study that has no archive.
    """
    by_name = {study.name: study for study in studies}

    def filled(place: re.Match[str]) -> str:
        if (study := by_name.get(place[2])) is None:
            raise ExperimentError(f"{README}: {RESULTS / place[2]}.zip is missing: write it by study keep")
        return f"{place[1]}{_in_short(study, figures[study.name][0])}\n{place[3]}"

    return PLACE.sub(filled, text)


def _in_short(study: Study, figure: ReportFigure) -> str:
    path = (IMAGES / f"{study.name}.{figure.name}.png").as_posix()
    rows = [line for line in _table(measured_tables(study.findings)[0]).splitlines() if line.startswith("|")]
    claims = _claims(study.findings).partition("\n\n")[2]  # without the heading
    parts = [f"**{headline(study.findings)}**", claims, "\n".join(rows), f"![{figure.title}]({path})"]
    return "\n\n".join(part for part in [*parts, f"<sub>{figure.caption} {_provenance(study)}.</sub>"] if part)


def _claims(findings: Findings) -> str:
    if not findings.verdicts:
        return ""
    lines = []
    for verdict in findings.verdicts:
        says, published = verdict.claim.says.rstrip("."), verdict.claim.published
        said_by = f" Said by: {published.rstrip('.')}." if published else ""
        lines.append(f"- {says}: **{verdict.state}**. {verdict.needs}{said_by}")
    return "\n".join(["### Claims", "", *lines])


def _shown(study: Study, figure: ReportFigure) -> str:
    path = (IMAGES / f"{study.name}.{figure.name}.png").relative_to("docs").as_posix()
    return f"![{figure.title}]({path})\n\n<sub>{figure.caption}</sub>"


def _repeat(study: Study) -> str:
    """Return the commands that run, re-draw and check the study."""
    place = (RESULTS / study.archive.name).as_posix()
    again = [f"rerank-ablations {command} {place}" for command in ("report", "study verify")]
    return "\n".join(["```sh", str(study.head["command"]).strip(), *again, "```"])


def _provenance(study: Study) -> str:
    """Say on what machine, with which seeds, versions and cost the numbers were made, as far as the jobs note it."""
    findings, rows = study.findings, provenance_of(study.findings)
    parts = [part for job in findings.jobs if job.finished for part in job.parts]
    noted = [read_status(part.folder).get("packages") or {} for part in parts]
    packages = dict.fromkeys(f"{name} {version}" for versions in noted for name, version in versions.items())
    seeds = sorted({str(job.seed) for job in findings.jobs if job.finished}, key=lambda seed: (len(seed), seed))
    threads = dict.fromkeys(plural(int(row.threads), "thread") for row in rows if row.threads.isdigit())
    pairs = sum(float(part.compute.get("pairs") or 0) for part in parts)
    spent = f"{plural(len(parts), 'job')}, {duration(seconds_of(findings))} in all, {count(pairs)} pairs trained on"
    left_out = manifest_of(study_folder(study.archive)).get("left_out") or {}
    return "; ".join(
        [
            f"Seeds {', '.join(seeds)}",
            spent,
            *dict.fromkeys(row.device for row in rows if row.device != "-"),
            *threads,
            span_of(rows) or "time not noted",
            f"code {', '.join(revisions_of(rows)) or 'not noted'}",
            ", ".join(packages) or "versions of packages not noted",
            *([f"{plural(len(left_out), 'unfinished job')} not kept"] if left_out else []),
        ]
    )


def chosen_figures(study: Study) -> list[ReportFigure]:
    """Return the figures that a text names, or the report's first one.

    Raises:
        ExperimentError: the report has no such figure.
    """
    drawn = {figure.name: figure for figure in figures_of(study.findings)}
    names = list(study.head.get("figures") or list(drawn)[:1])
    if unknown := [name for name in names if name not in drawn]:
        where = TEXTS / study.text.name
        raise ExperimentError(f"{where}: there is no figure {unknown[0]!r}: there are {', '.join(drawn)}")
    return [drawn[name] for name in names]


@styled
def draw(figures: Mapping[str, Sequence[ReportFigure]], folder: Path) -> None:
    """Write the figures of all studies; delete those of earlier texts."""
    drawn = dict(_named(figures))
    for path in folder.glob("*.png"):
        if path.name not in drawn:
            path.unlink()
    for name, figure in drawn.items():
        folder.mkdir(parents=True, exist_ok=True)
        figure.figure.savefig(folder / name, dpi=DPI, metadata={})


def _named(figures: Mapping[str, Sequence[ReportFigure]]) -> Iterator[tuple[str, ReportFigure]]:
    for study, of_study in figures.items():
        yield from ((f"{study}.{figure.name}.png", figure) for figure in of_study)


def main(root: Path = ROOT) -> int:
    """Write page and figures; the exit code is 2 if a text or an archive cannot be used."""
    try:
        studies = read_studies(root)
        figures = {study.name: chosen_figures(study) for study in studies}
        readme = readme_of((root / README).read_text(encoding="utf-8"), studies, figures)
        write_atomic(root / PAGE, page_of(studies, figures))
        write_atomic(root / README, readme)
        draw(figures, root / IMAGES)
    except ExperimentError as error:
        print(f"error: {as_given(error)}", file=sys.stderr)
        return 2
    print(root / PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
