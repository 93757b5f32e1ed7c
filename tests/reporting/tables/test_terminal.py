"""Tables in a terminal of 80 columns: nothing is cut, every number is whole."""

import io
from pathlib import Path

import pytest
from helpers.study_folder import FIRST_STAGE, write_job
from rich.console import Console

from experiments.analysis.findings import findings_of
from experiments.reporting.summary import print_findings
from experiments.reporting.tables.table import Table
from experiments.reporting.tables.terminal import parts_of, print_tables

NUMBERS = ("0.123", "+0.012 *", "[-0.012, +0.034]", "12.8M")


def wide(columns: int, label: str = "lce", head: str = "vs a reference") -> Table:
    names = tuple(f"{head} {number}" for number in range(columns))
    row = (label, *(NUMBERS[number % 4] for number in range(columns)))
    return Table("A title", ("loss", *names), (row, row), frozenset({"loss"}))


def printed(table: Table, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    print_tables([table], console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("columns", [3, 5, 9, 30])
def test_every_number_is_whole_at_80_columns(columns: int):
    output = printed(wide(columns))
    assert max(map(len, output.splitlines())) <= 80
    assert "…" not in output
    for place, number in enumerate(NUMBERS):
        assert output.count(number) >= 2 * len(range(place, columns, 4))


def test_a_table_that_fits_is_one_and_its_heads_are_on_one_line():
    assert len(parts_of(wide(3, head="n"), 80)) == 1
    assert "loss     n 0        n 1                n 2" in printed(wide(3, head="n"))


def test_heads_wrap_before_columns_go_into_a_second_part():
    table = wide(4, head="a long heading of")
    assert len(parts_of(table, 80)) == 1
    lines = printed(table).splitlines()
    assert any("heading" in line for line in lines)
    assert not any("a long heading of 3" in line for line in lines)


def test_each_part_has_the_names_of_the_rows():
    output = printed(wide(9))
    parts = len(parts_of(wide(9), 80))
    assert parts > 1
    assert output.count("lce") == 2 * parts


def test_where_not_even_one_column_fits_rows_are_listed():
    output = printed(wide(2, label="lce"), width=20)
    assert max(map(len, output.splitlines())) <= 20
    assert "0.123" in output
    assert "+0.012 *" in output


def test_sentences_are_listed_row_by_row():
    table = Table("Claims", ("claim", "verdict"), (("LCE wins", "supported"),), prose=True)
    assert [line.rstrip() for line in printed(table).splitlines()][2:4] == ["LCE wins", "  verdict  supported"]


def test_a_study_of_many_labels_and_first_stages_is_whole_at_80_columns(tmp_path: Path):
    for loss in ("lce", "bce_of_two_classes"):
        for source in ("bm25", "tct_colbert"):
            for seed in (1, 2):
                labels = {"loss": loss, "source": source, "seed": seed, "near_duplicates": f"{source} filter"}
                compute = {"pairs": 12_800_000, "seconds": 123_456}
                job = f"{loss}-{source}-{seed}"
                write_job(
                    tmp_path, job, FIRST_STAGE, labels=labels, compute=compute, first_stages=("bm25", "colbert"),
                    config={"retrievers": {"bm25": {}, "colbert": {}, "tct_colbert": {}}},
                )  # fmt: skip
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    print_findings(findings_of(tmp_path), console)
    assert isinstance(console.file, io.StringIO)
    output = console.file.getvalue()
    assert max(map(len, output.splitlines())) <= 80
    assert "…" not in output
    for text in ("12.8M", "123,456", "0.438", "[ 0.000,  0.000]", "bce_of_two_classes", "TCT-ColBERT"):
        assert text in output
