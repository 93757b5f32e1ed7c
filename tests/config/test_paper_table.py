"""The key ``table`` of a sweep: what it may say, and what is refused with which message."""

from typing import Any

import pytest
from helpers.jobs import composed

from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.identity import job_name
from experiments.config.paper_table import table_of

PLAIN: dict[str, Any] = {"title": "Negatives", "source": "A paper, Table 3"}


def test_a_published_cell_has_the_labels_of_all_cells_and_its_own():
    table = table_of(
        PLAIN | {"where": {"first_stage": "bm25"}, "mark": "primary", "published": [{"negatives": 7, "value": 0.4}]}
    )
    (cell,) = table.published
    assert dict(cell.where) == {"first_stage": "bm25", "negatives": 7}
    assert (cell.value, cell.mark) == (0.4, "primary")


def test_a_cell_that_nobody_has_read_is_marked_unknown():
    (cell,) = table_of(PLAIN | {"mark": "primary", "published": [{"negatives": 7, "value": None}]}).published
    assert (cell.value, cell.mark) == (None, "unknown")


def test_a_claim_speaks_of_the_table_s_cells_unless_it_compares_that_label():
    claim = {"says": "a", "kind": "beats", "better": {"first_stage": "colbert"}, "worse": {"first_stage": "bm25"}}
    table = table_of(PLAIN | {"where": {"first_stage": "bm25", "loss": "lce"}, "claims": [claim]})
    assert dict(table.claims[0].where) == {"loss": "lce"}


RISES = {"says": "a", "kind": "rises", "over": "negatives"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"title": None}, "table.title must be given"),
        ({"colour": 1}, "there is no key table.colour; the keys of table are"),
        ({"published": [{"value": 0.4}]}, r"table.published\[0\].mark is None: it must be one of primary"),
        ({"mark": "primary", "published": [{"loss": "lce"}]}, r"table.published\[0\] has no value"),
        ({"mark": "primary", "published": [{"value": 39.3}]}, r"published\[0\].value is 39.3: it must lie between 0"),
        ({"published": [{"value": 0.3, "mark": "unknown"}]}, "unknown values are null, and no other"),
        ({"mark": "primary", "published": [{"value": 0.3}, {"value": 0.4}]}, r"published has the cell \{\} twice"),
        (
            {"claims": [RISES | {"kind": "wins"}]},
            r"claims\[0\].kind is 'wins': it must be one of beats, improves, rises",
        ),
        ({"claims": [{"says": "a", "kind": "rises"}]}, r"claims\[0\].over must be given for kind: rises"),
        ({"claims": [{"says": "a", "kind": "within", "better": {"n": 1}, "worse": {"n": 2}}]}, "margin must be given"),
        ({"claims": [{"says": "a", "kind": "beats", "better": {"n": 1}, "worse": {"m": 2}}]}, "name the same labels"),
        ({"claims": [RISES | {"of": "dev"}]}, r"claims\[0\].of is 'dev': it must be one of test, layers"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(settings: dict[str, Any], message: str):
    with pytest.raises(ExperimentError, match=message):
        table_of(PLAIN | settings)


def test_a_table_is_no_part_of_what_a_job_is():
    plain = compose.plain(composed())
    with_table = compose.plain(composed("+table={title: a, source: b}"))
    assert "table" not in with_table
    assert job_name(plain) == job_name(with_table)


def test_a_mistake_in_a_table_stops_before_any_training():
    with pytest.raises(ExperimentError, match=r"table\.source must be given"):
        compose.check(composed("+table={title: a}"))


def test_a_value_may_depend_on_the_scale():
    chosen = "negatives.count='${by_scale:{mini:3,paper:7}}'"
    assert composed(chosen).negatives.count == 3
    assert composed(chosen, "scale=paper").negatives.count == 7


def test_a_scale_that_a_value_says_nothing_of_is_named():
    with pytest.raises(Exception, match="by_scale says nothing of scale=mini, only of paper") as caught:
        compose.check(composed("negatives.count='${by_scale:{paper:7}}'"))
    assert "by_scale says nothing of scale=mini" in compose.explain(caught.value)
