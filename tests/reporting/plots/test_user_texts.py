"""A user's title, labels and claims are drawn as they are written, within the figure, and escaped in LaTeX."""

from pathlib import Path

import pytest
from helpers.findings import TABLE, small_findings, write_study

from experiments import report
from experiments.analysis.findings import findings_of
from experiments.reporting.plots.build import figures_of
from experiments.reporting.plots.figure import save_figures
from experiments.reporting.plots.style import framed, shortened, styled, wrapped
from experiments.reporting.summary import latex
from experiments.reporting.tables.render import latex_comment, latex_label, to_latex
from experiments.reporting.tables.table import Table

ODD = r"\foo$ and $\frac{ of 100 % _"


def test_a_dollar_sign_in_a_title_is_drawn_as_one(tmp_path: Path):
    findings = small_findings(tmp_path / "study", table={**TABLE, "title": ODD})
    figures = figures_of(findings)
    save_figures(figures, tmp_path)
    (claims,) = [figure for figure in figures if figure.name == "claims"]
    assert f"Claims, {ODD}" in [text.get_text() for text in claims.figure.texts]


def test_a_long_title_has_three_lines_at_most_that_lie_within_the_figure():
    frame = styled(framed)("A very long title, which goes on " * 40, "Bars.", 2.0)
    title = frame.figure.texts[0]
    frame.figure.draw_without_rendering()
    box = title.get_window_extent()
    assert title.get_text().count("\n") == 2
    assert title.get_text().endswith(" …")
    assert box.x1 <= frame.figure.bbox.x1
    assert box.y0 > frame.figure.texts[1].get_window_extent().y1, "the explanation begins below it"


@pytest.mark.parametrize(
    ("text", "letters", "lines"),
    [("a b c", 3, ["a b", "c"]), ("abcdef", 4, ["abcd", "ef"]), ("", 4, [""]), ("a\ud800", 4, ["a\ufffd"])],
)
def test_a_text_is_wrapped(text: str, letters: int, lines: list[str]):
    assert wrapped(text, letters) == lines


def test_a_label_is_shortened_to_one_line():
    assert shortened("a\nlong label", 6) == "a lon…"
    assert shortened("short", 6) == "short"


def test_the_name_of_a_folder_is_escaped_in_latex(tmp_path: Path):
    findings = findings_of(write_study(tmp_path / "a_b%c#{x}"))
    text = latex(findings)
    assert text.startswith(r"% a\_b\%c\#\{x\}: needs \usepackage{booktabs}" + "\n")
    assert r"\label{tab:a-b-c-x-1}" in text


def test_a_line_end_ends_no_comment_of_latex():
    assert latex_comment("a\n\\input{x}") == r"% a \textbackslash{}input\{x\}"
    assert latex_label("%\n") == "study"


def test_a_bracket_at_the_beginning_of_a_row_is_no_argument_of_the_row_before():
    table = Table("T", ("pooling", "x"), (("[CLS]", "1"), ("*", "2")), frozenset({"pooling"}))
    assert "    {}[CLS] & 1 \\\\\n    {}* & 2 \\\\\n" in to_latex(table, "x")


def test_a_half_character_in_a_folders_name_is_replaced_in_what_is_written(tmp_path: Path):
    study = write_study(tmp_path / "a\udcffb", table=None)
    report.write(findings_of(study), tmp_path / "out")
    assert (tmp_path / "out" / "table.md").read_text(encoding="utf-8").startswith("# a\ufffdb\n")
