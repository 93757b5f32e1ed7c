"""The settings of a dual encoder: what is out of range or missing is said before anything loads."""

from typing import Any

import pytest

from experiments.common.errors import ExperimentError
from experiments.models.cross_encoder.config import CrossEncoderConfig
from experiments.models.dual_encoder.config import DualEncoderConfig

PLAIN: dict[str, Any] = {"infused": [], "infuse_embeddings": False, "rest": "backbone"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 0}, "layers is 0: it must be at least 1"),
        ({"infused": [0]}, "infused is 0: it must be at least 1"),
        ({"infused": [3]}, r"infused has layer 3, but model\.layers is 2"),
        ({"infused": [1, 1]}, "names a layer twice"),
        ({"rest": "zero"}, "rest is 'zero': it must be one of random, backbone"),
        ({"pooling": "max"}, "must be one of mean, cls"),
        ({"similarity": "euclidean"}, "must be one of cosine, dot"),
        ({"temperature": 0.0}, "temperature is 0.0: it must be above 0"),
        ({"distil": "mse"}, "must be one of none, margin_mse, kl"),
        ({"distil_weight": 1.5}, "distil_weight is 1.5: it must be above 0 and at most 1"),
        ({"align_layer": -1}, "align_layer is -1: it must be at least 0"),
    ],
)
def test_settings_out_of_range_are_named(change: dict, message: str):
    with pytest.raises(ExperimentError, match=message):
        DualEncoderConfig(**{"cross_encoder": "given", **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, r"infused=\[1\] copies layers from it"),
        ({"infused": []}, "infuse_embeddings=true copies its embeddings"),
        ({**PLAIN, "distil": "kl"}, "distil=kl learns from it"),
        ({**PLAIN, "align_layer": 1}, "align_layer is one of its layers"),
    ],
)
def test_what_needs_a_cross_encoder_says_so_before_anything_loads(change: dict, message: str):
    with pytest.raises(ExperimentError, match=rf"cross_encoder is null, but {message}: set model\.cross_encoder"):
        DualEncoderConfig(**change)


def test_a_job_may_train_the_cross_encoder():
    job = {"loss": "lce", "negatives": {"count": 7}}
    assert DualEncoderConfig(job=job).prerequisites() == {"job": job}


def test_other_kinds_of_model_need_no_cross_encoder():
    assert CrossEncoderConfig().prerequisites() == {}
