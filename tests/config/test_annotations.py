"""Which values an annotation allows, and what a user is told that a value should be."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytest

from experiments.config.annotations import misfit

NUMBER, WHOLE, TEXT = "a number", "a whole number", "a text"


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        ("int", 1, None), ("int", True, WHOLE), ("int", 1.5, WHOLE), ("int", "1", WHOLE), ("int", None, WHOLE),
        ("float", 1, None), ("float", 1.5, None), ("float", False, NUMBER), ("float", [1.5], NUMBER),
        ("bool", False, None), ("bool", 0, "true or false"), ("str", "", None), ("str", 1, TEXT),
        ("int | None", None, None), ("int | None", "x", "a whole number or null"),
        ("Optional[int]", None, None), ("typing.Optional[int]", 1.5, "a whole number or null"),
        ("Union[bool, Literal['warn'], None]", "warn", None),
        ("Union[bool, Literal['warn'], None]", "x", "true or false or warn or null"),
        ("float | str", "auto", None), ("float | str", [], "a number or a text"),
        ("list[int]", [], None), ("list[int]", [1, 2], None), ("list[int]", [1, "x"], "a list, each a whole number"),
        ("Sequence[str]", "x", "a list, each a text"), ("str | Sequence[str]", ["x"], None), ("list", "x", "a list"),
        ("Mapping[str, str | None]", {"a": None}, None),
        ("Mapping[str, str | None]", {"a": 1}, "named values, each a text or null"),
        ("dict", [], "named values"), ("Sequence[Retriever]", "x", None), ("list[Any]", "x", "a list"),
        ("Sequence[Retriever]", ["x"], None),
        ("Tensor", "x", None), ("Retriever | None", "x", None), ("Union[float, Tensor]", "x", None), ("Any", [], None),
        ("'int'", "x", WHOLE), ("'int | None'", None, None), ("no type at all", "x", None),
    ],
)  # fmt: skip
def test_a_value_fits_or_is_told_what_it_should_be(annotation: str, value: Any, expected: str | None):
    assert misfit(value, annotation) == expected


@pytest.mark.parametrize(
    ("kind", "fitting", "other"),
    [
        (int, 1, "x"), (str | None, None, 1), (list[int], [1], 1), (dict[str, Any], {}, []),
        (Mapping[str, str], {"a": "b"}, {"a": 1}), (Sequence[str] | None, None, "x"), (Literal["a", "b"], "a", "c"),
    ],
)  # fmt: skip
def test_types_are_read_as_they_are_written(kind: Any, fitting: Any, other: Any):
    annotation = inspect.formatannotation(kind)
    assert misfit(fitting, annotation) is None
    assert misfit(other, annotation) is not None
