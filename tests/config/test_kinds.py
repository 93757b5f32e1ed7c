"""A ``_target_`` must name what its key needs: nothing else is called, whoever wrote the config."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.jobs import composed

from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.jobs.components import make_components
from experiments.models.optimizer import make_optimizer, make_schedule

RAN: list[str] = []


class Boom:
    """What a pickle of it would run."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return RAN.append, ("a pickle",)


@pytest.fixture
def loading(tmp_path: Path) -> dict[str, Any]:
    """The settings of a part that would read a pickle."""
    RAN.clear()
    (tmp_path / "pickle").write_bytes(pickle.dumps(Boom()))
    return {"_target_": "torch.load", "f": str(tmp_path / "pickle"), "weights_only": False}


KEYS = {
    "data.source": "no reader, which is a class with fingerprint, passages, queries, qrels",
    "retrievers.bm25": "no retriever, which is a class with fingerprint, retrieve",
    "loss.fn": "no loss, which is a function of scores_QN",
    "scheduler": "no schedule, which is a function of step, steps",
    "trainer": "no trainer, which is a class derived from pytorch_lightning.Trainer",
    "callbacks.mine": "no callback, which is a class derived from pytorch_lightning.Callback",
    "logger": "no logger, which is a class derived from pytorch_lightning.loggers.Logger",
    "optimizer": "no optimizer, which is a class derived from torch.optim.Optimizer",
}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("target", ["torch.load", "experiments.callbacks.checkpoint_format.torch.load", "os.getcwd"])
def test_a_function_of_another_kind_is_refused_and_not_called(loading: dict[str, Any], key: str, target: str):
    for make in (compose.make, compose.partly_made):
        with pytest.raises(ExperimentError) as refused:
            make(key, {**loading, "_target_": target})
        assert f"{key}._target_: {target} is {KEYS[key]}" == str(refused.value) or "blocklisted" in str(refused.value)
    assert RAN == []


def test_the_parts_of_a_saved_config_are_refused_too(loading: dict[str, Any]):
    config = compose.plain(composed())
    experiment = compose.restored({**config, "data": {**config["data"], "source": loading}})
    with pytest.raises(ExperimentError, match=r"data\.source\._target_: torch\.load is no reader"):
        compose.source_of(experiment)
    experiment = compose.restored({**config, "retrievers": {**config["retrievers"], "bm25": loading}})
    with pytest.raises(ExperimentError, match=r"retrievers\.bm25\._target_: torch\.load is no retriever"):
        make_components(experiment)
    experiment = compose.restored({**config, "optimizer": {**config["optimizer"], "_target_": "torch.load"}})
    with pytest.raises(ExperimentError, match=r"optimizer\._target_: torch\.load is no optimizer"):
        make_optimizer(torch.nn.Linear(1, 1), experiment.optimizer)
    with pytest.raises(ExperimentError, match=r"scheduler\._target_: torch\.load is no schedule"):
        make_schedule(loading, 1)
    assert RAN == []


@pytest.mark.parametrize("inside", [lambda part: part, lambda part: [part], lambda part: {"deeper": [1, part]}])
def test_a_part_within_a_part_is_refused(loading: dict[str, Any], inside: Callable[[Any], Any]):
    bm25 = {"_target_": "experiments.retrieval.bm25.BM25", "k1": inside(loading)}
    with pytest.raises(ExperimentError, match=r"retrievers\.bm25\.k1.*_target_: torch\.load may not be made within"):
        compose.make("retrievers.bm25", bm25, name="bm25")
    trainer = {"_target_": "pytorch_lightning.Trainer", "strategy": inside(loading)}
    with pytest.raises(ExperimentError, match=r"trainer\.strategy.*_target_: torch\.load may not be made within"):
        compose.partly_made("trainer", trainer)
    assert RAN == []


def test_lightnings_own_parts_may_be_within_its_trainer():
    strategy = {"_target_": "pytorch_lightning.strategies.DDPStrategy"}
    made = compose.partly_made("trainer", {"_target_": "pytorch_lightning.Trainer", "strategy": strategy})
    assert type(made.keywords["strategy"]).__name__ == "DDPStrategy"


def test_every_part_of_a_default_config_is_of_its_kind():
    experiment = compose.check(composed("callbacks=early_stopping", "logger=csv"))
    parts = make_components(experiment)
    parts.make("logger", dict(experiment.logger))  # type: ignore[arg-type]
    for name, settings in experiment.callbacks.items():
        parts.make(f"callbacks.{name}", settings)
    assert callable(parts.loss)


def test_what_cannot_be_found_is_one_line():
    with pytest.raises(ExperimentError, match=r"data\.source\._target_: .*no_such_module") as refused:
        compose.make("data.source", {"_target_": "no_such_module.Reader"})
    assert "\n" not in str(refused.value)
