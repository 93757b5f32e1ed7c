"""What tables and figures call the queries that were measured."""

from types import SimpleNamespace
from typing import Any

import pytest

from experiments.reporting.names import measured_queries


@pytest.mark.parametrize(
    ("data", "queries", "expected"),
    [
        ("apidocs", 300, "300 test queries"),
        ("apidocs", 1, "1 test query"),
        ("apidocs/dev", 300, "300 dev queries"),
        ("scifact/train", 2, "2 train queries"),
        ("beir/scifact", 2, "2 test queries"),
    ],
)
def test_the_split_is_named(data: str, queries: int, expected: str):
    group: Any = SimpleNamespace(data=data, query_ids=("q",) * queries)
    assert measured_queries(group) == expected
