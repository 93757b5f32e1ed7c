"""How long documents are scored: what may be set, and that jobs of before keep their names."""

import pytest
from helpers.jobs import composed

from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.identity import folder_name, job_hash, scientific
from experiments.data.windows import Windows
from experiments.models.checkpoint.config import CheckpointConfig
from experiments.models.cross_encoder.config import CrossEncoderConfig

KEYS = {"document", "window", "stride", "max_windows"}


def test_first_p_cuts_no_windows():
    assert CrossEncoderConfig().windows is None


def test_max_p_takes_thirty_windows_of_the_room_of_each_query_unless_it_is_told_otherwise():
    assert CrossEncoderConfig(document="max_p").windows == Windows(tokens=None, stride=None, most=30)
    told = CrossEncoderConfig(document="max_p", window=100, stride=50, max_windows=8)
    assert told.windows == Windows(tokens=100, stride=50, most=8)


@pytest.mark.parametrize("value", ["maxp", None])
def test_another_way_of_reading_is_refused(value: str | None):
    with pytest.raises(ExperimentError, match=r"model\.document is .*: it must be one of first_p, max_p"):
        CrossEncoderConfig(document=value)


@pytest.mark.parametrize("key", ["window", "stride", "max_windows"])
def test_windows_have_tokens(key: str):
    with pytest.raises(ExperimentError, match=rf"model\.{key} is 0: it must be at least 1"):
        CrossEncoderConfig(document="max_p", **{key: 0})


@pytest.mark.parametrize("key", ["window", "stride", "max_windows"])
def test_settings_of_windows_are_refused_where_there_are_none(key: str):
    with pytest.raises(ExperimentError, match=rf"model\.{key}=8 is of windows, .* set model\.document=max_p"):
        CrossEncoderConfig(**{key: 8})
    with pytest.raises(ExperimentError, match=rf"model\.{key}=8 is of windows"):
        CheckpointConfig(path="a/b", **{key: 8})


def test_a_stride_that_leaves_tokens_out_is_refused():
    with pytest.raises(ExperimentError, match=r"model\.stride=9 is more than model\.window=8, .* set it to at most 8"):
        CrossEncoderConfig(document="max_p", window=8, stride=9)


def test_a_measured_model_reads_documents_as_its_own_config_says_by_default():
    assert CheckpointConfig(path="a/b").document is None
    assert CheckpointConfig(path="a/b", document="max_p").windows == Windows()


@pytest.mark.parametrize("model", ["model=cross_encoder", "model=checkpoint model.path=a/b"])
def test_jobs_of_before_these_keys_keep_their_names(model: str):
    config = compose.plain(composed(*model.split()))
    of_before = {**config, "model": {key: value for key, value in config["model"].items() if key not in KEYS}}
    assert set(config["model"]) - set(of_before["model"]) == KEYS
    assert job_hash(config) == job_hash(of_before)
    assert folder_name("probe", config) == folder_name("probe", of_before)


def test_max_p_is_another_job():
    first, best, narrow = (
        compose.plain(composed(*changes))
        for changes in ([], ["model.document=max_p"], ["model.document=max_p", "model.window=60"])
    )
    assert len({job_hash(config) for config in (first, best, narrow)}) == 3
    assert KEYS.isdisjoint(scientific(first)["model"])
    assert scientific(narrow)["model"]["window"] == 60
