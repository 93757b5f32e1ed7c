"""Values by query as a file: written, read back, refused where malformed, put into another order."""

from pathlib import Path

import numpy as np
import pytest
from helpers.study_folder import write_per_query as write_by_hand

from experiments.common.errors import ExperimentError
from experiments.job_files.per_query import PerQuery, concatenate, per_query_path, read_per_query, write_per_query


def table(query_ids: tuple[str, ...], reranked: list[float], **others: list[float]) -> PerQuery:
    more = {name: np.array(values) for name, values in others.items()}
    return PerQuery(query_ids, {"RR@10": np.array(reranked), **more}, {"RR@10": np.array(reranked) / 2})


def test_what_is_written_is_read_in_full_precision(tmp_path: Path) -> None:
    path = per_query_path(tmp_path, "bm25")
    write_per_query(path, table(("q1", "q2"), [1 / 3, 0.0]))
    assert path.read_text() == (
        "query\tRR@10\tfirst_stage:RR@10\nq1\t0.3333333333333333\t0.16666666666666666\nq2\t0.0\t0.0\n"
    )
    found = read_per_query(path)
    assert found.query_ids == ("q1", "q2")
    np.testing.assert_array_equal(found.reranked["RR@10"], [1 / 3, 0.0])
    np.testing.assert_array_equal(found.first_stage["RR@10"], [1 / 6, 0.0])


def test_tables_are_put_together_by_the_columns_that_all_have() -> None:
    both = concatenate([table(("a",), [0.5], AP=[0.1]), table(("b", "c"), [1.0, 0.0])])
    assert both.query_ids == ("a", "b", "c")
    assert {name: values_Q.tolist() for name, values_Q in both.columns.items()} == {
        "RR@10": [0.5, 1.0, 0.0],
        "first_stage:RR@10": [0.25, 0.5, 0.0],
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "line 1: a header"),
        ("qid\tRR@10\nq1\t1\n", "line 1: a header"),
        ("query\tRR@10\nq1\t1\nq2\n", "line 3: 2 columns are expected, there are 1"),
        ("query\tRR@10\nq1\t1\nq1\t0\n", "line 3: query 'q1' stands in the file twice"),
        ("query\tRR@10\nq1\tone\n", "line 2: 'one' is no number"),
        ("query\tRR@10\nq1\tnan\n", "line 2: a value is not finite"),
    ],
)
def test_a_malformed_per_query_table_is_refused_with_its_line(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "per_query.bm25.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ExperimentError, match=complaint):
        read_per_query(path)


def test_a_per_query_table_can_be_put_into_another_order_of_its_queries(tmp_path: Path) -> None:
    write_by_hand(tmp_path / "t.tsv", {"a": 0.1, "b": 0.2, "c": 0.3}, {"a": 1.0, "b": 2.0, "c": 3.0})
    ordered = read_per_query(tmp_path / "t.tsv").ordered(("c", "a", "b"))
    assert ordered.query_ids == ("c", "a", "b")
    np.testing.assert_array_equal(ordered.reranked["RR@10"], [0.3, 0.1, 0.2])
    np.testing.assert_array_equal(ordered.first_stage["RR@10"], [3.0, 1.0, 2.0])


def test_only_measures_of_both_rankings_can_be_compared(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("query\tRR@10\tnDCG@10\tfirst_stage:RR@10\nq1\t1\t0.9\t0.5\n", encoding="utf-8")
    assert read_per_query(path).measures == ("RR@10",)
