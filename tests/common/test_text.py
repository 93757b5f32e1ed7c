"""Numbers, durations and lines as people read them."""

import pytest

from experiments.common.text import (
    count,
    difference,
    duration,
    first_line,
    number_of_seeds,
    p_value,
    plural,
    signed,
    value_or_dash,
)


@pytest.mark.parametrize(("value", "text"), [(0.25, "+0.250"), (-0.0001, "-0.000"), (0.0, " 0.000")])
def test_a_sign_is_kept_where_rounding_hides_the_digits(value: float, text: str):
    assert signed(value) == text


def test_a_difference_has_its_interval():
    assert difference(0.011, -0.012, 0.034) == "+0.011 [-0.012, +0.034]"


@pytest.mark.parametrize(("p", "text"), [(None, "-"), (0.0004, "<.001"), (0.05, "0.050")])
def test_p_values_have_three_digits(p: float | None, text: str):
    assert p_value(p) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (8192, "8,192"), (123_456, "123,456"), (12_800_000, "12.8M"), (3e15, "3.0P")]
)
def test_counts_are_written_out_below_a_million(value: float | None, text: str):
    assert count(value) == text


@pytest.mark.parametrize(("seconds", "text"), [(None, "?"), (8, "8 s"), (240, "4 min"), (7500, "2 h 05 min")])
def test_durations_are_in_words(seconds: float | None, text: str):
    assert duration(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(1, "1 query"), (1200, "1,200 queries")])
def test_plurals(number: int, text: str):
    assert plural(number, "query", "queries") == text
    assert plural(2, "job") == "2 jobs"


@pytest.mark.parametrize(
    ("said", "line"), [("a\nb", "a"), (None, ""), ("  \n", ""), (ValueError("x\ny"), "x"), (KeyError(), "KeyError")]
)
def test_the_first_line_of_a_message_or_the_name_of_an_error_without_one(said: object, line: str):
    assert first_line(said) == line


def test_no_value_is_a_dash():
    assert (value_or_dash(None), value_or_dash(0)) == ("-", "0")


@pytest.mark.parametrize(
    ("counts", "said"), [([3, 3], "3 seeds"), ([3, 2, 3], "2 to 3 seeds"), ([1], "1 seed"), ([1, 2], "1 to 2 seeds")]
)
def test_unequal_numbers_of_seeds_are_a_range(counts: list[int], said: str):
    assert number_of_seeds(counts) == said
