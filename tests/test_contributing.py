"""The parts that CONTRIBUTING.md shows work as they stand there."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.jobs import ROOT, composed, run, tiny_overrides
from helpers.tiny import LiteralSource, write_beir_folder, write_tiny_bert

from experiments import models
from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.data.collection import open_collection
from experiments.data.splits import make_splits
from experiments.retrieval.retriever import Retriever, run_for

SHOWN = dict(re.findall(r"`([\w/.]+)`\n\n```\w+\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL))


def names_of(path: str) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(compile(SHOWN[path], path, "exec"), names)
    return names


def test_the_loss_and_its_yaml():
    exponential = names_of("experiments/losses/exponential.py")["exponential"]
    # exp(-log 2) = 1/2 and exp(log 4 - log 2) = 2
    assert exponential(torch.tensor([[2.0, 1.0, 4.0]]).log()).item() == pytest.approx(1.25)
    settings = yaml.safe_load(SHOWN["conf/loss/exponential.yaml"])
    lce = yaml.safe_load((ROOT / "conf/loss/lce.yaml").read_text())
    assert settings["fn"]["_target_"] == "experiments.losses.exponential.exponential"
    assert settings.keys() == lce.keys()
    assert settings["fn"].keys() == lce["fn"].keys() | {"scale"}


def test_the_retriever_and_its_yaml(tmp_path: Path):
    passages, queries = [("p0", "boron is a metalloid"), ("p1", "neon is a noble gas")], [("q0", "which noble gas")]
    source = LiteralSource(passages, queries, {"test": [("q0", "p1", 1)]})
    collection = open_collection(source, Cache(tmp_path))
    settings = yaml.safe_load(SHOWN["conf/retriever/overlap.yaml"])
    assert settings.pop("_target_") == "experiments.retrieval.overlap.Overlap"
    retriever = names_of("experiments/retrieval/overlap.py")["Overlap"](**settings, name="overlap")
    assert isinstance(retriever, Retriever)
    run = run_for(retriever, collection, np.array([0]), 2, Cache(tmp_path))
    assert run.ranking(0).tolist() == [1, 0]
    assert run.scores[0].tolist() == [2.0, 0.0]


@pytest.fixture
def rdrop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The files of the model's recipe below a temporary folder, on the path; the override that finds its YAMLs."""
    folder = tmp_path / "experiments" / "models" / "rdrop"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    for path in (path for path in SHOWN if "rdrop" in path):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(SHOWN[path])
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(folder.parent)])
    return f"hydra.searchpath=[file://{tmp_path / 'conf'}]"


def test_the_model_and_its_yamls_train(rdrop: str, tmp_path: Path):
    data = write_beir_folder(tmp_path / "data")
    texts = [json.loads(line)["text"] for name in ("corpus", "queries") for line in (data / f"{name}.jsonl").open()]
    tiny = tiny_overrides(tmp_path, data, write_tiny_bert(tmp_path / "bert", texts))
    metrics, folder = run([*tiny, rdrop, "model=rdrop", "model.weight=0.5", "budget.size=8"])
    assert metrics["labels"]["model"] == "rdrop"
    assert folder.name.startswith("rdrop-lce-n3-bm25-s1-")
    kept = yaml.safe_load((folder / "config.yaml").read_text())["model"]
    assert (kept["weight"], kept["dropout"]) == (0.5, 0.1)
    assert (folder / "model" / "config.json").exists()
    with pytest.raises(ExperimentError, match="loss=margin_mse learns from a teacher"):
        compose.check(composed(rdrop, "model=rdrop", "loss=margin_mse"))


def test_the_data_set_and_its_yaml(tmp_path: Path):
    rows = ["id,question,answer,split", "1,what is boron,a metalloid,train", "2,what is neon,a gas,test"]
    (tmp_path / "faq.csv").write_text("\n".join(rows) + "\n")
    source = names_of("experiments/data/readers/faq.py")["Faq"](str(tmp_path / "faq.csv"))
    collection = open_collection(source, Cache(tmp_path / "store"))
    splits = make_splits(collection)
    assert [len(splits[name].queries) for name in ("train", "test")] == [1, 1]
    settings = yaml.safe_load(SHOWN["conf/data/faq.yaml"])
    assert settings.keys() == yaml.safe_load((ROOT / "conf/data/beir.yaml").read_text()).keys()
