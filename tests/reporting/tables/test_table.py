"""Tables of texts in a terminal, in Markdown and in LaTeX."""

import io

from rich.console import Console

from experiments.reporting.tables.render import to_latex, to_markdown
from experiments.reporting.tables.table import Table
from experiments.reporting.tables.terminal import print_tables

TABLE = Table(
    "A title", ("loss", "50 %"), (("bce", "1"), ("l|ce", "2")), frozenset({"loss"}), 1, frozenset({0}), ("How.",)
)


def test_in_a_file_a_table_is_as_wide_as_it_has_to_be():
    console = Console(file=io.StringIO(), width=10, color_system=None)
    print_tables([Table("t", ("a" * 30, "b" * 30), (("c", "d"),))], console)
    assert isinstance(console.file, io.StringIO)
    assert "a" * 30 + "   " + "b" * 30 in console.file.getvalue()


def test_markdown_sets_words_flush_left_and_escapes_bars():
    assert to_markdown(TABLE) == ("## A title\n\n| loss | 50 % |\n| --- | ---: |\n| bce | 1 |\n| l\\|ce | 2 |\n\nHow.")


def test_latex_has_rules_and_escapes():
    assert to_latex(TABLE, "x-1") == (
        "\\begin{table}\n  \\centering\n  \\caption{A title. How.}\n  \\label{tab:x-1}\n  \\begin{tabular}{lr}\n"
        "    \\toprule\n    loss & 50 \\% \\\\\n    \\midrule\n    bce & 1 \\\\\n    \\midrule\n    l|ce & 2 \\\\\n"
        "    \\bottomrule\n  \\end{tabular}\n\\end{table}\n"
    )
