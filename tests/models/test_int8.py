"""A cross-encoder in 8-bit integers: how it rounds, that it ranks as in fp32, and who may use it."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.jobs import composed, run, tiny_overrides
from scipy.stats import kendalltau
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.compute import Trainer
from experiments.config.identity import job_hash
from experiments.data.batches.pairs import TokenBatch
from experiments.job_files.files import run_path
from experiments.models.int8 import Int8Linear, in_int8
from experiments.models.packed_forward import packed_logits, padded_logits
from experiments.models.training_setup import precision_of


def layer_of(rows: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rows))
        layer.bias.copy_(torch.tensor(bias))
    return layer


def test_each_output_has_a_scale_of_its_own():
    """The weights are multiples of a 127th of the largest of their row, and the inputs of a 127th of theirs."""
    layer = layer_of([[127.0, -5.0], [0.127, 0.005]], bias=[0.5, -0.5])
    outputs = Int8Linear(layer)(torch.tensor([[1.27, 0.02], [-1.27, 0.0]]))
    expected = [[161.29 - 0.1 + 0.5, 0.16129 + 0.0001 - 0.5], [-161.29 + 0.5, -0.16129 - 0.5]]
    torch.testing.assert_close(outputs, torch.tensor(expected), rtol=1e-2, atol=1e-2)


def test_a_layer_of_zeros_gives_its_bias():
    outputs = Int8Linear(layer_of([[0.0, 0.0]], bias=[0.25]))(torch.tensor([[1.0, 2.0]]))
    assert outputs.tolist() == [[0.25]]


@pytest.mark.parametrize("logits_of", [packed_logits, padded_logits])
def test_scores_in_int8_rank_as_in_fp32_and_the_network_is_as_before(logits_of):
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    network = BertForSequenceClassification(BertConfig(vocab_size=200, num_labels=1, **sizes)).eval()
    lengths = tuple(range(8, 40))
    ids_T = torch.randint(5, 200, (sum(lengths),))
    tokens = TokenBatch(ids_T, torch.zeros_like(ids_T), lengths)
    with torch.no_grad():
        before = logits_of(network, tokens)
        with in_int8(network):
            rounded = logits_of(network, tokens)
        after = logits_of(network, tokens)
    assert torch.equal(before, after)
    assert not torch.equal(before, rounded)
    assert kendalltau(before[:, 0], rounded[:, 0]).statistic > 0.9


def test_a_job_trains_in_fp32_and_re_ranks_in_int8(tmp_path: Path, data: Path, backbone: Path):
    overrides = tiny_overrides(tmp_path, data, backbone)
    _, plain = run(overrides)
    metrics, rounded = run([*overrides, "trainer.precision=int8-dynamic"])
    assert plain.name != rounded.name, "precision is part of a job's identity"
    assert _losses(plain) == _losses(rounded)
    scores = [_scores(run_path(folder, "bm25")) for folder in (plain, rounded)]
    assert scores[0].keys() == scores[1].keys()
    values = [np.array([of[pair] for pair in sorted(scores[0])]) for of in scores]
    assert 0 < np.abs(values[0] - values[1]).max() < 0.1
    assert 0 <= metrics["test"]["bm25"]["RR@10"] <= 1


def _losses(folder: Path) -> list[str]:
    with (folder / "history.tsv").open(encoding="utf-8") as file:
        return [row["loss"] for row in csv.DictReader(file, delimiter="\t")]


def _scores(path: Path) -> dict[tuple[str, str], float]:
    with gzip.open(path, "rt") as file:
        lines = [line.split() for line in file if not line.startswith("#")]
    return {(line[0], line[2]): float(line[4]) for line in lines}


def test_a_training_is_in_fp32_and_a_gpu_is_refused():
    assert precision_of(Trainer(accelerator="cpu", precision="int8-dynamic")) == "32-true"
    with pytest.raises(ExperimentError, match=r"trainer\.precision=int8-dynamic is for a CPU: set trainer=cpu"):
        precision_of(Trainer(accelerator="gpu", precision="int8-dynamic"))


@pytest.mark.parametrize("model", ["dual_encoder", "colbert"])
def test_a_model_that_encodes_texts_alone_has_none(model: str):
    with pytest.raises(ExperimentError, match=rf"trainer\.precision=int8-dynamic is of a cross-encoder.*model={model}"):
        compose.check(composed("data=synthetic", f"model={model}", "trainer.precision=int8-dynamic"))


def test_a_measurement_in_int8_is_another_job_than_the_one_in_fp32():
    def name(precision: str) -> str:
        measured = ["data=synthetic", "model=checkpoint", "model.path=some/model", f"trainer.precision={precision}"]
        return job_hash(compose.plain(composed(*measured)))

    assert name("auto") == name("32-true") != name("int8-dynamic")
