"""Text, JSON and YAML that are damaged, ambiguous or endless are refused in one short line."""

from pathlib import Path
from typing import Any

import pytest

from experiments.common.errors import LONGEST, ExperimentError, shown
from experiments.common.strict_text import YamlError, decode, parse_json, parse_yaml, replace_halves


def test_a_byte_order_mark_is_no_part_of_a_text():
    assert decode(Path("x.yaml"), b"\xef\xbb\xbfa: 1") == "a: 1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\xff", "x.yaml, line 2: byte 0xff is no UTF-8: save it as UTF-8 text"),
        (b"a\n\xed\xa0\x80", "x.yaml, line 2: byte 0xed is no UTF-8"),
        ("a".encode("utf-16"), "x.yaml, line 1: byte 0xff is no UTF-8"),
        (b"a\n\n\0", "x.yaml, line 3: a NUL byte, which no text file holds: the file is damaged"),
    ],
)
def test_bytes_that_are_no_text_are_named_by_line(content: bytes, message: str):
    with pytest.raises(ExperimentError, match=f"^{message}"):
        decode(Path("x.yaml"), content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "x, line 1: not JSON (its values are nested more than 100 deep)"),
        ("[" * 101 + "]" * 101, "x, line 1: not JSON (its values are nested more than 100 deep)"),
        ('{"a": 1, "a": 2}', "x, line 1: not JSON (the key 'a' twice in one object)"),
        ('{"a": NaN}', "x, line 1: not JSON (NaN is no number of JSON)"),
        ("9" * 5000, "x, line 1: not JSON (Exceeds the limit (4300 digits) for integer string conversion"),
        (r'["\ud800"]', "x, line 1: '\\ud800' has half of a character in it (a lone surrogate such as \\ud83d)"),
        (r'{"\uDC00": 1}', "x, line 1: '\\udc00' has half of a character in it"),
        ("", "x, line 1: not JSON (Expecting value"),
    ],
)
def test_json_that_cannot_be_used_is_refused(text: str, message: str):
    with pytest.raises(ExperimentError) as found:
        parse_json(text, "x, line 1")
    assert str(found.value).startswith(message)


def test_a_pair_of_surrogates_is_a_character():
    assert parse_json(r'"\ud83d\ude00"', "x") == "😀"


def test_half_characters_are_replaced_where_that_is_wanted():
    assert parse_json(r'{"a": ["\ud83d!"]}', "x", halves=True) == {"a": ["\ufffd!"]}
    assert replace_halves("a\udc00") == "a\ufffd"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[" * 1_000_000 + "]" * 1_000_000,
            "nested more than 100 deep",
        ),  # libyaml's stack ended with a segmentation fault
        ("- " * 1_000_000, "nested more than 100 deep"),
        ("a: 1\na: 2", "the key 'a' twice in one mapping"),
        ("a: 2020-13-45", "month must be in 1..12"),
        ("a: &a [*a]", "an alias (*name) stands for a value that it is in itself"),
        ("a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
        ("a: {", "did not find expected node content"),
    ],
)
def test_yaml_that_cannot_be_used_is_refused(text: str, message: str):
    with pytest.raises(YamlError) as found:
        parse_yaml(text)
    assert message in str(found.value)


def test_aliases_that_stand_for_a_billion_values_are_refused():
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    lines += [
        f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    with pytest.raises(YamlError, match="stand for more than 1,000,000 values"):
        parse_yaml("\n".join(lines))


def test_an_alias_is_the_value_that_it_names():
    assert parse_yaml("a: &x [1]\nb: *x") == {"a": [1], "b": [1]}


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("a\n  b\r\nc", "a b c"),
        ("a\x00b\x1b[31m", "a\\x00b\\x1b[31m"),
        ("a\ud800b", "a\\ud800b"),
        ("x" * 3_000_000, "x" * 80 + " ... " + "x" * 10),
    ],
)
def test_a_message_is_one_line_that_can_be_printed(message: str, said: str):
    assert str(ExperimentError(message)) == said


def test_the_middle_of_a_long_message_is_left_out():
    said = str(ExperimentError("x.tsv, line 3: " + "word " * 10_000 + "run the job again"))
    assert len(said) <= LONGEST
    assert said.startswith("x.tsv, line 3: word")
    assert said.endswith("run the job again")


@pytest.mark.parametrize(
    ("value", "text"),
    [("ab", "'ab'"), ("a" * 100, "'" + "a" * 75 + " ..."), ([1], "[1]")],
)
def test_a_value_is_shown_in_few_letters(value: Any, text: str):
    assert shown(value) == text


def test_a_number_of_thousands_of_digits_is_shown_by_its_type():
    assert shown(10**5000) == "int"
