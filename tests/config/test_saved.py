"""The config of a job is read with the types of its keys, and one of another version is read too."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.jobs import composed

from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.saved import read_job_config


def written(folder: Path, key: str = "", value: Any = None) -> dict[str, Any]:
    """Write a job's config in which one dotted key has another value; returns it."""
    config = compose.plain(composed())
    owner: Any = config
    *parents, last = key.split(".")
    for parent in parents:
        owner = owner[parent]
    owner |= {last: value} if key else {}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return config


def test_a_sound_config_is_read(tmp_path: Path):
    assert written(tmp_path) == read_job_config(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.min_grade", "x", "data.min_grade is 'x', which should be a whole number"),
        ("data.min_grade", -float("inf"), "data.min_grade is -inf: it must be a finite number"),
        ("data.queries.dev", 1.5, "data.queries.dev is 1.5, which should be a whole number or null"),
        ("validation.times", "many", "validation.times is 'many', which should be a whole number"),
        ("negatives.source", None, "negatives.source is None, which should be a text"),
        ("negatives.source", ["bm25"], "negatives.source is ['bm25'], which should be a text"),
        ("first_stage", [1], "first_stage is [1], which should be a list of names"),
        ("model", None, "model is None, which should be named values"),
        ("model.max_length", "long", "model.max_length is 'long', which should be a whole number"),
        ("probe", None, "probe is None, which should be named values"),
        ("seed", 2**63, "seed is 9223372036854775808: no whole number beyond 64 bits can be used"),
        ("retrievers", None, "retrievers is None, which should be named values"),
        ("retrievers.bm25", None, "its key 'retrievers.bm25' should hold named values, not NoneType"),
    ],
)
def test_a_value_of_another_type_is_named(tmp_path: Path, key: str, value: Any, message: str):
    written(tmp_path, key, value)
    with pytest.raises(ExperimentError) as found:
        read_job_config(tmp_path)
    assert str(found.value) == f"{tmp_path / 'config.yaml'}: {message}"


@pytest.mark.parametrize("target", ["elsewhere.Model", None, 3])
def test_a_model_of_a_package_that_is_not_installed_is_read(tmp_path: Path, target: Any):
    written(tmp_path, "model", {"_target_": target, "layers": "x"})
    assert read_job_config(tmp_path)["model"]["layers"] == "x"


def test_keys_of_another_version_are_read(tmp_path: Path):
    config = written(tmp_path, "data.of_later", [1])
    del config["seed"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert read_job_config(tmp_path) == config
