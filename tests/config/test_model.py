"""Models as a config group: found by their folders and chosen by ``_target_``."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import ROOT, composed
from omegaconf import OmegaConf

from experiments.common.code_versions import model_code
from experiments.common.errors import ExperimentError
from experiments.config import Model, compose
from experiments.models.colbert.config import ColBERTConfig


@dataclass
class OwnConfig(Model):
    """A model of a user's own, outside the package."""

    name: str = "own"
    width: int = 3

    def build(self, inputs: Any) -> Any:
        raise NotImplementedError

    def check_backbone(self, source: Any) -> None:
        raise NotImplementedError


OWN = {"_target_": f"{__name__}.OwnConfig", "name": "own"}


def test_every_folder_is_a_model_with_a_file_and_a_recipe_where_it_needs_one():
    found = compose.models()
    assert found.keys() == {path.stem for path in (ROOT / "conf" / "model").glob("*.yaml")}
    for name, model in found.items():
        needed = [] if model.trains else ["model.path=some/model"]
        assert compose.check(composed(f"model={name}", *needed)).model.__class__ is model


def test_only_the_models_own_keys_are_there():
    assert "dimension" not in compose.plain(composed())["model"]
    assert "fresh_pooler" not in compose.plain(composed("model=colbert"))["model"]


def test_a_models_own_target_is_enough(monkeypatch: pytest.MonkeyPatch):
    config = OmegaConf.merge(composed(), {"scale": "mini"})
    OmegaConf.set_struct(config, False)
    config.model = {**OWN, "max_length": 32}
    model = compose.check(config).model
    assert (type(model).__name__, model.max_length, model.width) == ("OwnConfig", 32, 3)
    assert compose.plain(config)["model"]["width"] == 3, "what decides a job is all in its config"
    config.model = {**OWN, "widht": 4}
    with pytest.raises(ExperimentError, match=r"no key model\.widht: did you mean model\.width\?"):
        compose.check(config)


def test_a_config_of_an_older_version_is_refused():
    kept = compose.plain(composed())
    kept["model"] = {"kind": "cross_encoder"}
    with pytest.raises(ExperimentError, match="model has no _target_: choose one of the files of conf/model"):
        compose.restored(kept)


def test_a_kept_config_gives_the_same_model():
    config = composed("model=colbert", "model.dimension=16")
    model = compose.restored(compose.plain(config)).model
    assert isinstance(model, ColBERTConfig)
    assert model.dimension == 16


def test_a_model_that_names_no_module_is_known_by_its_source(tmp_path: Path):
    (key,) = model_code(OwnConfig)
    assert len(str(model_code(OwnConfig)[key])) == 32
    assert model_code(ColBERTConfig)["models.colbert.network"] == 1


def test_finding_the_models_loads_no_network_library():
    code = "import sys; from experiments.config import compose; compose.register(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "pytorch_lightning"} & set(done.stdout.split())


@pytest.mark.parametrize("model", compose.models().values(), ids=lambda model: model.__name__)
def test_a_model_defines_the_check_of_its_start_exactly_where_its_training_may_go_on(model: type[Model]):
    assert (model.check_start is not Model.check_start) == model.goes_on
