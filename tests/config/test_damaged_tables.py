"""Tables and claims whose values have other types are refused by their key."""

from typing import Any

import pytest

from experiments.common.errors import ExperimentError
from experiments.config.paper_table import table_of

TABLE = {"title": "Which loss?", "source": "Table 3"}
CLAIM = {"says": "LCE beats BCE", "kind": "beats", "better": {"loss": "lce"}, "worse": {"loss": "bce"}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"title": ["x"]}, "table.title is ['x']: it must be a text of 1 to 5,000 letters"),
        ({"title": " "}, "table.title is ' ': it must be a text"),
        ({"source": 7}, "table.source is 7: it must be a text"),
        ({"title": "x" * 6000}, "table.title is 'xxx"),
        ({"where": "x"}, "table.where is 'x': it must be labels with their values, such as {loss: lce}"),
        ({"where": {"loss": [1]}}, "table.where.loss is [1]: it must be a text or a finite number"),
        ({"reference": 4294967296}, "table.reference is 4294967296: it must be labels with their values"),
        ({"rows": "loss"}, "table.rows is 'loss': it must be a list"),
        ({"claims": 10**40}, "table.claims is 1000"),
        ({"published": [" "]}, "table.published[0] is ' ': it must be labels with their values"),
        (
            {"published": [{"loss": "lce", "value": "x", "mark": "primary"}]},
            "table.published[0].value is 'x': it must lie",
        ),
        (
            {"published": [{"loss": "lce", "value": True, "mark": "primary"}]},
            "table.published[0].value is True: it must lie",
        ),
        (
            {"published": [{"loss": "lce", "value": 0.5, "mark": {"a": 1}}]},
            "table.published[0].mark is {'a': 1}: it must be",
        ),
        ({"tolerance": float("nan")}, "table.tolerance is nan: it must lie between 0 and 1"),
        ({"claims": [{**CLAIM, "says": 7}]}, "table.claims[0].says is 7: it must be a text"),
        ({"claims": [{**CLAIM, "published": True}]}, "table.claims[0].published is True: it must be a text"),
        ({"claims": [{**CLAIM, "better": float("inf")}]}, "table.claims[0].better is inf: it must be labels"),
        ({"claims": [{**CLAIM, "kind": ["beats"]}]}, "table.claims[0].kind is ['beats']: it must be a text"),
        ({"claims": [{**CLAIM, "margin": "x"}]}, "table.claims[0].margin is 'x': it must lie between 0 and 1"),
        ({"claims": [{**CLAIM, "relative": 1}]}, "table.claims[0].relative is 1: it must be true or false"),
    ],
)
def test_a_value_of_another_type_is_refused_by_its_key(settings: dict[str, Any], message: str):
    with pytest.raises(ExperimentError) as found:
        table_of(TABLE | settings)
    assert str(found.value).startswith(message)
