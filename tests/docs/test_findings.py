"""docs/findings.md is what its script writes from the archives, and no number in its texts is typed."""

from pathlib import Path
from types import ModuleType

import pytest
from helpers.findings import LCE, REACHED, write_study
from helpers.jobs import ROOT
from helpers.pages import docs_script
from helpers.study_folder import write_job

from experiments.job_files.archive import keep_study
from experiments.reporting.placeholders import typed_decimals

TEXT = """\
---
title: Which loss?
question: Does LCE beat BCE?
command: rerank-ablations train -m loss=bce,lce study=losses
---
LCE has {{ mean loss=lce negatives=7 }}, {{ quote 0.412 from a paper, Table 3 }} elsewhere.

### What surprised

Nothing: {{ difference loss=lce negatives=7 minus loss=bce }}.

### What stayed undecided

One seed.
"""
TEXTS = sorted((ROOT / "docs" / "findings").glob("*.md"))


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    return docs_script("write_findings")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one archive, of the study ``losses``, and its text."""
    monkeypatch.chdir(tmp_path)
    keep_study(write_study(Path("outputs/losses")), Path("sweeps/results"))
    write_text(tmp_path, TEXT)
    (tmp_path / "README.md").write_text("# A project\n")
    return tmp_path


def write_text(checkout: Path, text: str, name: str = "losses") -> None:
    path = checkout / "docs" / "findings" / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def complaint(writer: ModuleType, checkout: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the script says of a checkout in which something is wrong."""
    assert writer.main(checkout) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said.removeprefix("error: ").strip()


def test_the_page_is_what_the_script_writes(writer: ModuleType):
    studies = writer.read_studies(ROOT)
    figures = {study.name: writer.chosen_figures(study) for study in studies}
    assert (ROOT / writer.PAGE).read_text(encoding="utf-8") == writer.page_of(studies, figures), "run make findings"
    readme = (ROOT / writer.README).read_text(encoding="utf-8")
    assert readme == writer.readme_of(readme, studies, figures), "run make findings"
    names = {f"{study}.{figure.name}.png" for study, drawn in figures.items() for figure in drawn}
    assert {path.name for path in (ROOT / writer.IMAGES).glob("*")} == names


def test_the_readme_shows_a_study_where_it_is_marked(writer: ModuleType, checkout: Path):
    readme = checkout / "README.md"
    readme.write_text("# A project\n<!-- findings: losses -->\nold\n<!-- end of findings -->\nThe end.\n")
    assert writer.main(checkout) == 0
    written = readme.read_text()
    begin, end = "# A project\n<!-- findings: losses -->\n**", "</sub>\n<!-- end of findings -->\nThe end.\n"
    assert written.startswith(begin)
    assert written.endswith(end)
    assert "| lce | 7 |" in written
    assert "](docs/images/findings/losses." in written
    assert "old" not in written


def test_a_readme_that_marks_a_study_without_results_is_refused(
    writer: ModuleType, checkout: Path, capsys: pytest.CaptureFixture[str]
):
    (checkout / "README.md").write_text("<!-- findings: lost -->\n<!-- end of findings -->\n")
    assert complaint(writer, checkout, capsys) == (
        "README.md: sweeps/results/lost.zip is missing: write it by study keep"
    )


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_no_number_of_a_text_is_typed(text: Path):
    assert typed_decimals(text.read_text(encoding="utf-8")) == []


def test_without_a_study_the_page_says_how_one_is_kept(writer: ModuleType, tmp_path: Path):
    (tmp_path / "README.md").write_text("# A project\n")
    assert writer.main(tmp_path) == 0
    assert "`rerank-ablations study keep" in (tmp_path / "docs" / "findings.md").read_text()


def test_a_study_has_its_tables_claims_figure_commands_and_origin(writer: ModuleType, checkout: Path):
    assert writer.main(checkout) == 0
    page = (checkout / "docs" / "findings.md").read_text()
    parts = (
        "| [Which loss?](#which-loss) | The claim that LCE beats BCE is undecided. |",
        "## Which loss?\n\nDoes LCE beat BCE?\n\n**The claim that LCE beats BCE is undecided.**",
        "LCE has 0.562, 0.412 (a paper, Table 3) elsewhere.",
        "### BM25 re-ranked, apidocs\n\n| loss | n | MRR@10 |",
        "### Which loss?: published and measured",
        "### Claims\n\n- LCE beats BCE: **undecided**. ",
        "Said by: Section 4.",
        "![",
        "](images/findings/losses.",
        "### What surprised\n\nNothing: +0.125 [",
        "### What stayed undecided\n\nOne seed.",
        "```sh\nrerank-ablations train -m loss=bce,lce study=losses\n"
        "rerank-ablations report sweeps/results/losses.zip\n"
        "rerank-ablations study verify sweeps/results/losses.zip\n```",
        "<sub>Seeds 1; 2 jobs, 25 s in all, 16,000 pairs trained on; 2026-01-02 03:04 to 03:14 UTC; "
        "code 0123456789ab; versions of packages not noted</sub>",
    )
    places = [page.find(part) for part in parts]
    assert places == sorted(places)
    assert places[0] > 0


def test_figures_are_those_that_the_text_names_and_earlier_ones_go(writer: ModuleType, checkout: Path):
    job = write_job(Path("outputs/losses"), "lce-n1", REACHED[LCE], labels={"negatives": 1})
    keep_study(job.parent, Path("sweeps/results"))
    earlier = checkout / "docs" / "images" / "findings" / "earlier.png"
    earlier.parent.mkdir(parents=True)
    earlier.touch()
    write_text(checkout, TEXT.replace("---\nLCE", "figures: [rr10_by_negatives.bm25, claims]\n---\nLCE"))
    assert writer.main(checkout) == 0
    assert sorted(path.name for path in earlier.parent.iterdir()) == [
        "losses.claims.png",
        "losses.rr10_by_negatives.bm25.png",
    ]


def test_texts_are_ordered_by_their_number(writer: ModuleType, checkout: Path):
    keep_study(write_study(Path("outputs/others")), Path("sweeps/results"))
    write_text(checkout, TEXT.replace("title: Which loss?", "title: First\norder: 0"), "others")
    assert [study.name for study in writer.read_studies(checkout)] == ["others", "losses"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("LCE has", "LCE has 0.5, not", "docs/findings/losses.md, line 6: 0.5 is typed"),
        ("question: ", "quest: ", "docs/findings/losses.md has no question"),
        ("question: ", "colour: red\nquestion: ", "docs/findings/losses.md: there is no key colour; the keys are"),
        ("---\ntitle", "title", "docs/findings/losses.md does not begin with its title, question and command"),
        ("### What surprised", "### Surprises", "docs/findings/losses.md has no section '### What surprised'"),
        ("mean loss=lce", "mean loss=hinge", "docs/findings/losses.md, line 6, {{ mean loss=hinge negatives=7 }}: no "),
        ("---\nLCE", "figures: [pie]\n---\nLCE", "docs/findings/losses.md: there is no figure 'pie': there are "),
    ],
)
def test_a_text_that_cannot_be_used_is_named(
    writer: ModuleType, checkout: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
):
    write_text(checkout, TEXT.replace(old, new, 1))
    assert complaint(writer, checkout, capsys).startswith(message)


def test_an_archive_without_a_text_and_a_text_without_an_archive_are_named(
    writer: ModuleType, checkout: Path, capsys: pytest.CaptureFixture[str]
):
    write_text(checkout, TEXT, "others")
    expected = "docs/findings/others.md has no results: write sweeps/results/others.zip by rerank-ablations study keep"
    assert complaint(writer, checkout, capsys) == expected
    for text in (checkout / "docs" / "findings").iterdir():
        text.unlink()
    assert complaint(writer, checkout, capsys) == "sweeps/results/losses.zip has no text: write docs/findings/losses.md"
