"""The parts that the pages of ``docs/extending`` show work as they are written there."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.findings import write_study
from helpers.jobs import ROOT, composed, run, tiny_overrides
from helpers.pages import PAGES, add_parts_shown, files_shown
from helpers.tiny import LiteralSource

from experiments.analysis.findings import findings_of
from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.grid import compose_grid
from experiments.data.collection import open_collection
from experiments.data.splits import make_splits
from experiments.reporting.plots.figure import SECTIONS, save_figures
from experiments.retrieval.retriever import Retriever, run_for

SHOWN = {path: text for page in PAGES for path, text in files_shown(page).items()}


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
    ranked = run_for(retriever, collection, np.array([0]), 2, Cache(tmp_path))
    assert ranked.ranking(0).tolist() == [1, 0]
    assert ranked.scores[0].tolist() == [2.0, 0.0]


def test_the_data_set_and_its_yaml(tmp_path: Path):
    rows = ["id,question,answer,split", "1,what is boron,a metalloid,train", "2,what is neon,a gas,test"]
    (tmp_path / "faq.csv").write_text("\n".join(rows) + "\n")
    source = names_of("experiments/data/readers/faq.py")["Faq"](str(tmp_path / "faq.csv"))
    collection = open_collection(source, Cache(tmp_path / "store"))
    splits = make_splits(collection)
    assert [len(splits[name].queries) for name in ("train", "test")] == [1, 1]
    settings = yaml.safe_load(SHOWN["conf/data/faq.yaml"])
    assert settings.keys() == yaml.safe_load((ROOT / "conf/data/beir.yaml").read_text()).keys()


def test_the_figure(tmp_path: Path):
    by_seed = names_of("experiments/reporting/plots/by_seed.py")["by_seed"]
    (drawn,) = by_seed(findings_of(write_study(tmp_path / "study")), ["bce", "lce"])
    assert drawn.section in SECTIONS
    (axes,) = drawn.figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["bce, n 7", "lce, n 7"]
    assert [line.get_xdata().tolist() for line in axes.lines] == [
        [0.4375],
        [0.5625],
    ]  # one seed each
    assert [path.suffix for path in save_figures([drawn], tmp_path)] == [".png", ".svg"]


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pages show, as if it were written."""
    add_parts_shown(tmp_path, monkeypatch)
    compose.register()


@pytest.mark.usefixtures("parts")
def test_the_sampling_rule():
    rule = compose.check(composed("negatives=top_ten", "negatives.count=3")).negatives
    assert (rule.name, rule.count, rule.skip, rule.depth, rule.redraw) == ("top_ten", 3, 2, 10, "never")


@pytest.mark.usefixtures("parts")
def test_the_study():
    experiments = [compose.check(row.config) for row in compose_grid(["+sweeps=my_table"]).rows]
    assert sorted((one.negatives.count, one.seed) for one in experiments) == [
        (1, 1), (1, 2), (1, 3), (31, 1), (31, 2), (31, 3)
    ]  # fmt: skip
    assert {one.budget.size for one in experiments} == {2000}


@pytest.mark.usefixtures("parts")
def test_the_model_and_its_yamls_train(tmp_path: Path, data: Path, backbone: Path):
    tiny = tiny_overrides(tmp_path, data, backbone)
    metrics, folder = run([*tiny, "model=rdrop", "model.weight=0.5", "budget.size=8"])
    assert metrics["labels"]["model"] == "rdrop"
    assert folder.name.startswith("rdrop-lce-n3-bm25-s1-")
    kept = yaml.safe_load((folder / "config.yaml").read_text())["model"]
    assert (kept["weight"], kept["dropout"]) == (0.5, 0.1)
    assert (folder / "model" / "config.json").exists()
    with pytest.raises(ExperimentError, match="loss=margin_mse learns from a teacher"):
        compose.check(composed("model=rdrop", "loss=margin_mse"))


@pytest.mark.usefixtures("parts")
def test_the_callback_and_the_schedule_train(tmp_path: Path, data: Path, backbone: Path):
    own = ["callbacks=weight_norm", "callbacks.weight_norm.every=1", "scheduler=cosine", "logger=csv"]
    own += ["trainer.log_every_n_steps=1", "budget.size=8"]
    _, folder = run([*tiny_overrides(tmp_path, data, backbone), *own])
    assert "train/weight_norm" in (folder / "csv" / "metrics.csv").read_text().splitlines()[0]
    kept = yaml.safe_load((folder / "config.yaml").read_text())
    assert (kept["scheduler"], kept["callbacks"]["weight_norm"]["every"]) == (
        {"_target_": "my_schedules.cosine", "floor": 0.1},
        1,
    )
