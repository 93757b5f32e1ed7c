"""What is wrong with a backbone is known before anything runs, without its weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.families import write_family
from helpers.jobs import composed, tiny_overrides
from helpers.tiny import write_tiny_bert
from safetensors.torch import load_file, save_file

from experiments.common.errors import ExperimentError
from experiments.config import Experiment, compose
from experiments.models import backbone_check
from experiments.models.backbone_check import check_backbone

WORDS = ["alpha beta gamma delta"]
PLAIN = [
    "model.infused=[]",
    "model.infuse_embeddings=false",
    "model.layers=null",
]


def experiment_of(tmp_path: Path, folder: Path | str, *more: str) -> Experiment:
    return compose.check(composed(*tiny_overrides(tmp_path, tmp_path, Path(folder), *more)))


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    return write_tiny_bert(tmp_path / "bert", WORDS)


@pytest.mark.parametrize("kind", ["cross_encoder", "colbert", "dual_encoder"])
def test_a_complete_backbone_passes_and_is_looked_at_once(
    tmp_path: Path, bert: Path, kind: str, monkeypatch: pytest.MonkeyPatch
):
    plain = [*PLAIN, "model.rest=backbone"] if kind == "dual_encoder" else []
    experiment, looked, whole = experiment_of(tmp_path, bert, f"model={kind}", *plain), [], backbone_check._skeleton

    def skeleton(*arguments: Any) -> Any:
        looked.append(arguments)
        return whole(*arguments)

    monkeypatch.setattr(backbone_check, "_skeleton", skeleton)
    check_backbone(experiment)
    check_backbone(experiment)
    assert len(looked) == 1
    check_backbone(replace(experiment, model=replace(experiment.model, max_length=40)))
    assert len(looked) == 2


@pytest.mark.parametrize("kind", ["cross_encoder", "colbert", "dual_encoder"])
def test_weights_that_would_be_random_are_named(tmp_path: Path, bert: Path, kind: str):
    plain = [*PLAIN, "model.rest=backbone"] if kind == "dual_encoder" else []
    experiment = experiment_of(tmp_path, bert, f"model={kind}", *plain)
    check_backbone(experiment)
    weights = {f"hf_model.{name}": weight for name, weight in load_file(bert / "model.safetensors").items()}
    save_file(weights, bert / "model.safetensors", {"format": "pt"})  # under the same path
    with pytest.raises(ExperimentError, match=r"backbone 'random-bert': .* lacks 37 weights .* 'hf_model\.'"):
        check_backbone(experiment)


def test_a_dual_encoder_that_draws_its_weights_needs_none(tmp_path: Path, bert: Path):
    (bert / "model.safetensors").unlink()
    write_tiny_bert(bert, WORDS, layers=1)
    cross = f"model.cross_encoder={write_tiny_bert(tmp_path / 'cross', WORDS, layers=3)}"
    check_backbone(experiment_of(tmp_path, bert, "model=dual_encoder", "model.layers=3", cross))


@pytest.mark.parametrize("family", ["roberta", "mpnet"])
def test_positions_with_an_offset_are_counted_right(tmp_path: Path, family: str):
    folder = write_family(tmp_path / family, family, WORDS)
    check_backbone(experiment_of(tmp_path, folder, "model.max_length=64"))
    with pytest.raises(ExperimentError, match=r"model\.max_length=66, .* set model\.max_length to at most 64"):
        check_backbone(experiment_of(tmp_path, folder, "model.max_length=66"))


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(ExperimentError, match=r"backbone 'random-bert': there is no folder .*/none"):
        check_backbone(experiment_of(tmp_path, tmp_path / "none"))


def test_a_teacher_that_is_not_there_or_has_no_head(tmp_path: Path, bert: Path):
    for teacher, message in ((bert, "is no trained cross-encoder"), (tmp_path / "none", "there is no folder")):
        experiment = experiment_of(tmp_path, bert, "loss=margin_mse", f"loss.teacher={teacher}")
        with pytest.raises(ExperimentError, match=rf"loss\.teacher: .*{message}"):
            check_backbone(experiment)


def test_a_filters_scorer_that_is_not_there(tmp_path: Path, bert: Path):
    scorer = [f"negatives.filter.scorer={tmp_path}/none", "negatives.filter.absolute_margin=0.1"]
    with pytest.raises(ExperimentError, match=r"negatives\.filter\.scorer: there is no folder"):
        check_backbone(experiment_of(tmp_path, bert, *scorer))
