"""What jobs need on another machine: shapes of models, operations, hours, disk and downloads, worked out by hand."""

import json
from pathlib import Path

import pytest
from helpers.jobs import ROOT, composed

from experiments import study
from experiments.common.errors import ExperimentError
from experiments.config import Experiment, compose
from experiments.models.compute_cost import CostModel
from experiments.studies.cost_estimate import Cost
from experiments.studies.needs import (
    ASSUMED_SHARE,
    CARDS,
    Needs,
    Shape,
    StepMemory,
    card_of,
    kept_tokens,
    lines_of,
    needs_of,
    shape_of,
)
from experiments.studies.needs import share_of_peak as share
from experiments.studies.needs_report import memory_lines

HUB = ("bert_base", "bert_large", "deberta_v3_base", "electra_base", "minilm_l12", "modernbert_base")


def experiment(*overrides: str) -> Experiment:
    return compose.check(composed(*overrides), parts=False)


def test_a_pass_costs_two_operations_a_weight_and_token_and_its_attention():
    shape = Shape(layers=2, hidden=128, encoder=1000, embeddings=50)
    assert shape.weights == 1050
    assert shape.forward(10) == 2 * 1000 * 10 + 4 * 2 * 128 * 100
    assert shape.forward(10) == CostModel(weights=1000, attention=2 * 128).forward((10,))


def test_a_job_trains_three_passes_a_pair_and_scores_one():
    job = experiment("backbone=electra_base", "model.max_length=256")
    one = shape_of(job.backbone).forward(256)  # type: ignore[union-attr]
    found = needs_of(job, Cost(groups=10, pairs=80, scored=500))
    assert found.training == 3 * 80 * one
    assert found.scoring == 500 * one
    assert found.disk == 16 * 108_891_648
    assert found.download == ("google/electra-base-discriminator", 4 * 108_891_648)


def test_recomputed_activations_cost_a_fourth_pass():
    costs = [
        needs_of(experiment("backbone=electra_base", f"batch.checkpoint={on}"), Cost(10, 80, 500)).training
        for on in ("false", "true")
    ]
    assert costs[1] == pytest.approx(4 / 3 * (costs[0] or 0))


def test_windows_are_scored_as_often_as_they_may_be():
    job = experiment("backbone=electra_base", "model.document=max_p", "model.max_windows=8")
    one = needs_of(experiment("backbone=electra_base"), Cost(10, 80, 500))
    best = needs_of(job, Cost(10, 80, 500))
    assert best.scoring == 8 * (one.scoring or 0)
    assert best.training == one.training


@pytest.mark.parametrize("name", HUB)
def test_the_shape_of_a_hubs_model_is_in_conf(name: str):
    shape = shape_of(experiment(f"backbone={name}").backbone)
    assert shape is not None
    assert shape.encoder > 4 * shape.layers * shape.hidden**2, "the attention alone has as many weights"


@pytest.mark.parametrize(("name", "weights"), [("bert_base", 109_482_240), ("bert_large", 335_141_888)])
def test_the_weights_of_bert_are_those_of_transformers(name: str, weights: int):
    """BertModel(BertConfig()) has 109,482,240; bert-large by its paper's sizes 335,141,888."""
    shape = shape_of(experiment(f"backbone={name}").backbone)
    assert shape is not None
    assert shape.weights == weights


def test_the_shape_of_a_model_at_hand_is_read_from_its_files(backbone: Path):
    from transformers import AutoModel

    shape = shape_of(experiment("backbone=local", f"backbone.path={backbone}", "backbone.name=x").backbone)
    network = AutoModel.from_pretrained(backbone)
    assert shape is not None
    assert (shape.layers, shape.hidden) == (network.config.num_hidden_layers, network.config.hidden_size)
    assert shape.embeddings == sum(
        parameter.numel() for name, parameter in network.named_parameters() if name.endswith("embeddings.weight")
    )


def test_a_hubs_model_without_a_shape_leaves_hours_unknown():
    job = experiment("backbone=local", "backbone.path=someone/unknown", "backbone.name=x")
    assert needs_of(job, Cost(10, 80, 500)) == Needs(None, None, None, ("someone/unknown", None))


def test_a_step_keeps_the_activations_of_all_its_pairs():
    """16 queries x (1 + 7) passages x 256 tokens = 32,768 tokens."""
    job = experiment("backbone=electra_base", "model.max_length=256", "batch.size=16", "negatives.count=7")
    assert kept_tokens(job) == 32_768
    found = needs_of(job, Cost(10, 80, 500)).memory
    assert found is not None
    assert found.activations == 34 * 32_768 * 12 * 768
    assert found.states == 16 * 108_891_648 + 2 * 85_056_000
    assert found.total == found.activations + found.states


@pytest.mark.parametrize(
    ("override", "tokens"),
    [
        ("batch.checkpoint=true", 16_384),
        ("compute.tokens_per_batch.train=1024", 32_768),
        ("trainer.devices=2", 16_384),
        ("negatives.count=15", 65_536),
    ],
)
def test_what_lowers_and_raises_the_memory_of_a_step(override: str, tokens: int):
    """A step is one graph, however many forward passes it has; recomputed, one pass is kept at a time."""
    job = experiment("model.max_length=256", "batch.size=16", "negatives.count=7", override)
    assert kept_tokens(job) == tokens


def test_models_that_read_texts_alone_keep_queries_too():
    job = experiment("model=colbert", "model.max_length=100", "model.max_query_tokens=30", "batch.size=2")
    assert kept_tokens(job) == 2 * ((job.negatives.count + 1) * 100 + 30)


def test_fp32_needs_twice_the_activations_and_no_copy_of_the_weights():
    job = experiment("backbone=electra_base", "trainer.precision=32-true", "batch.size=1", "negatives.count=1")
    found = needs_of(job, Cost(10, 20, 500)).memory
    assert found is not None
    assert found.activations == 68 * 2 * job.model.max_length * 12 * 768
    assert found.states == 16 * 108_891_648


def test_the_largest_step_is_named_and_what_to_do_where_it_may_not_fit():
    small, large = (
        Needs(1.0, 1.0, 0, None, StepMemory(states=1e9, activations=size)) for size in (2e9, 13_000_000_000)
    )
    found = memory_lines({"lce-n1": small, "lce-n31": large}, "t4")
    assert found[0] == (
        "memory of the t4: about 14.0 GB of 16.0 GB in a step of lce-n31 (1.0 GB of weights, gradients and AdamW, 13.0 "
        "GB of activations), the most of all"
    )
    assert found[1].startswith("1 job may not fit, such as lce-n31: set batch.checkpoint=true")
    assert len(memory_lines({"lce-n1": small}, "t4")) == 1
    assert memory_lines({"bm25": Needs(0.0, 1.0, 0, None)}, "t4") == []


def test_hours_are_operations_by_the_share_of_the_peak():
    needs = [
        Needs(312e12 * 0.5 * 7200, 312e12 * 0.5 * 3600, 2_000_000_000, ("some/model", 400_000_000)),
        Needs(0, 0, 0, None),
    ]
    assert lines_of(needs, "a100", (0.5, 3), {"msmarco-passage": 8_841_823}) == [
        "on one a100 (312 TFLOPS at its peak, 50% of it as 3 finished jobs on it reached), texts at full length: "
        "2 h 00 min of training, 60 min of scoring, one job after the other",
        "disk: 2.0 GB of models and checkpoints",
        "downloads: some/model (0.4 GB)",
        "data that ir_datasets fetches if it is not there: msmarco-passage (8,841,823 passages)",
    ]


def test_what_is_not_known_is_said():
    said = lines_of([Needs(None, None, None, ("a/b", None))], "t4", (ASSUMED_SHARE, 0), {})
    assert "an unknown time of training, an unknown time of scoring" in said[0]
    assert "assumed, until a job on it has finished" in said[0]
    assert said[1:] == [
        "disk: 0.0 GB of models and checkpoints (and 1 job of which it is not known)",
        "downloads: a/b (size not known)",
    ]


@pytest.mark.parametrize(
    ("machine", "found"),
    [
        ("Linux x86_64, 16 cores, NVIDIA A100-SXM4-80GB", (0.25, 1)),
        ("Linux x86_64, 16 cores, NVIDIA A10", (ASSUMED_SHARE, 0)),
        ("Linux x86_64, 2 cores", (ASSUMED_SHARE, 0)),
    ],
)
def test_finished_jobs_on_a_card_say_how_much_of_its_peak_is_reached(
    tmp_path: Path, machine: str, found: tuple[float, int]
):
    path = tmp_path / "study" / "job" / "metrics.json"
    path.parent.mkdir(parents=True)
    compute = {"machine": machine, "flops": 312e12 * 0.25 * 50, "train_seconds": 50.0}
    path.write_text(json.dumps({"compute": compute}), encoding="utf-8")
    assert share(tmp_path, CARDS["a100"]) == found


def test_a_card_that_is_not_known_is_refused():
    with pytest.raises(ExperimentError, match=r"device=k80: study plan knows the peak of a10, a100, "):
        card_of("k80")


def test_the_plan_of_a_papers_table_says_hours_gigabytes_and_downloads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(ROOT)
    places = [f"outputs={tmp_path / 'outputs'}", f"cache={tmp_path / 'cache'}"]
    assert study.main(["plan", "sweeps=pradeep2022_negatives", "scale=paper", "device=a100", *places]) == 0
    said = capsys.readouterr().out
    assert "178,560,000 pairs trained on, 224,400,000 scored" in said
    assert "on one a100 (312 TFLOPS at its peak, 35% of it assumed" in said
    assert "downloads: google/electra-base-discriminator (0.4 GB)" in said
    assert "msmarco-passage (8,841,823 passages)" in said
    assert "memory of the a100: about 43.0 GB of 80.0 GB in a step of lce-n31-bm25-s1-" in said
    for row in (
        "read msmarco-passage",
        "index of bm25",
        "top 200 of 502,939 train queries",
        "tct_colbert's vectors of",
    ):
        assert row in said
    assert "downloads for it: castorini/tct_colbert-v2-hnp-msmarco (0.4 GB)" in said


def test_a_device_is_for_plan(capsys: pytest.CaptureFixture[str]):
    assert study.main(["run", "quickstart", "device=a100"]) == 2
    assert "device=a100 is for plan" in capsys.readouterr().err


def test_only_data_from_a_network_is_named_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    places = [f"outputs={tmp_path / 'outputs'}", f"cache={tmp_path / 'cache'}"]
    assert study.main(["plan", "data=synthetic", "seed=1,2", "device=t4", *places]) == 0
    said = capsys.readouterr().out
    assert "on one t4" in said
    assert "fetches" not in said
