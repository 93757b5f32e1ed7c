"""First stages side by side: which cell stands where, its interval, and the difference of two trainings."""

from pathlib import Path

import pytest
from helpers.study_folder import write_job

from experiments.analysis.load import read_study
from experiments.analysis.settings import group_results
from experiments.reporting.tables.by_first_stage import first_stage_tables
from experiments.reporting.tables.render import to_markdown
from experiments.reporting.tables.table import Table

BM25 = {"q1": 0.5, "q2": 0.5, "q3": 0.5, "q4": 0.5}
BETTER = {"q1": 1.0, "q2": 1.0, "q3": 1.0, "q4": 1.0}


def matrix_of(study: Path) -> Table:
    (one,) = first_stage_tables(group_results(read_study(study), "RR@10"))
    return one


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for source, values in (("bm25", BM25), ("colbert", BETTER)):
        write_job(
            tmp_path / "sources", f"lce-{source}", values, first_stage_values=BM25, labels={"source": source},
            first_stages=("bm25", "colbert"), config={"retrievers": {"bm25": {}, "colbert": {}}},
        )  # fmt: skip
    return tmp_path / "sources"


def test_rows_are_trainings_and_columns_first_stages(study: Path):
    matrix = matrix_of(study)
    assert matrix.columns == ("loss", "n", "source", "BM25", "ColBERT")
    assert [row[:3] for row in matrix.rows] == [
        ("first stage itself", "", ""),
        ("lce", "7", "BM25"),
        ("lce", "7", "ColBERT"),
        ("ColBERT minus BM25", "", ""),
    ]


def test_a_cell_has_its_mean_and_the_interval_of_its_difference_to_the_first_stage(study: Path):
    matrix = matrix_of(study)
    assert matrix.rows[0][3:] == ("0.500", "0.500")
    assert matrix.rows[1][3] == "0.500 [ 0.000,  0.000]"
    assert matrix.rows[2][3] == "1.000 [+0.500, +0.500]"


def test_two_trainings_are_compared_query_by_query(study: Path):
    assert matrix_of(study).rows[3][3:] == ("+0.500 [+0.500, +0.500]", "+0.500 [+0.500, +0.500]")


def test_more_than_two_trainings_are_not_contrasted(study: Path):
    write_job(
        study, "bce", BM25, first_stage_values=BM25, labels={"loss": "bce"}, first_stages=("bm25", "colbert"),
        config={"retrievers": {"bm25": {}, "colbert": {}}},
    )  # fmt: skip
    assert [row[0] for row in matrix_of(study).rows] == ["first stage itself", "bce", "lce", "lce"]


def test_one_first_stage_makes_no_matrix(tmp_path: Path):
    write_job(tmp_path / "study", "lce", BETTER, first_stage_values=BM25)
    assert first_stage_tables(group_results(read_study(tmp_path / "study"), "RR@10")) == []


def test_markdown_has_a_row_a_line(study: Path):
    title, _, *lines, _, caption = to_markdown(matrix_of(study)).splitlines()
    assert title.startswith("## MRR@10 by what was trained")
    assert caption.startswith("Mean over test queries")
    assert lines[0] == "| loss | n | source | BM25 | ColBERT |"
    assert lines[1] == "| --- | --- | --- | ---: | ---: |"
    assert len(lines) == 6
