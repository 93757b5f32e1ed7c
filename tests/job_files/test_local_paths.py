"""Absolute paths in texts become relative, or names that say nothing of the machine."""

from pathlib import Path

import pytest

from experiments.job_files.local_paths import without_local_paths

HERE = Path("/home/me/project")


@pytest.mark.parametrize(
    ("text", "portable"),
    [
        ("/home/me/project/data/a", "data/a"),
        ("data.path=/home/me/project/a,/home/me/project/b", "data.path=a,b"),
        ("paths=[/home/me/project/a]", "paths=[a]"),
        ("data/a", "data/a"),
        ("https://host/a", "https://host/a"),
        ("hydra/launcher=joblib", "hydra/launcher=joblib"),
        ("loss / negatives", "loss / negatives"),
        ("Linux x86_64, 2 cores", "Linux x86_64, 2 cores"),
    ],
)
def test_a_path_below_the_working_directory_becomes_relative_and_other_texts_stay(text: str, portable: str):
    assert without_local_paths(text, HERE) == portable


def test_two_other_paths_stay_two_and_keep_their_last_name():
    first, second = without_local_paths(["/srv/a/model", "/srv/b/model"], HERE)
    assert first != second
    assert (first.split("/")[0], first.split("/")[2]) == ("elsewhere", "model")


def test_texts_are_found_at_any_depth_and_other_values_stay():
    value = {"a": {"path": "/home/me/project/x"}, "b": [1, 0.5, None, True, ("/home/me/project/y",)]}
    assert without_local_paths(value, HERE) == {"a": {"path": "x"}, "b": [1, 0.5, None, True, ["y"]]}
