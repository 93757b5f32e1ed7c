"""Two gloo processes are one: the same weights after training, the same scores, no pair scored twice."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from helpers.jobs import composed, tiny_overrides
from helpers.tiny import write_beir_folder, write_tiny_bert

from experiments.common.cache import Cache
from experiments.config import compose
from experiments.data.collection import open_collection
from experiments.jobs.components import make_components
from experiments.jobs.prepare import prepare
from experiments.models.ranker import Ranker

STEPS = 6


@pytest.fixture(autouse=True)
def _environment_as_before() -> Iterator[None]:
    """Lightning leaves the ranks of its processes in the environment of this one."""
    before = set(os.environ)
    yield
    for name in set(os.environ) - before:
        del os.environ[name]


def train_and_score(overrides: list[str], processes: int, result: Path) -> None:
    """Train a few steps and score the test pairs on some processes; the first one writes weights and scores."""
    experiment = compose.check(composed(*overrides, f"trainer.devices={processes}"))
    parts = make_components(experiment)
    store = Cache(experiment.cache)
    prepared = prepare(experiment, open_collection(parts.source, store), parts, store)
    training = experiment.model.build(prepared)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp_spawn" if processes > 1 else "auto",
        max_steps=STEPS,
        max_epochs=-1,
        val_check_interval=STEPS,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
        callbacks=[Keep(result)],
    )
    trainer.fit(training.module, datamodule=training.data)


class Keep(pl.Callback):
    """Writes what the first process ends with: a spawned one cannot hand it back."""

    def __init__(self, result: Path) -> None:
        self.result = result

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Ranker)
        scores_P, spent = pl_module.gathered_scores(), pl_module.total_spent()  # all ranks take part
        if trainer.is_global_zero:
            state = {
                "weights": pl_module.network.state_dict(),
                "dev_scores": scores_P,
                "spent": spent.as_dict(),
            }
            torch.save(state, self.result)


WINDOWS = ("model.document=max_p", "model.max_query_tokens=10", "model.max_length=18")  # two or three a passage


@pytest.mark.slow
@pytest.mark.parametrize("scoring", [(), WINDOWS], ids=["first_p", "max_p"])
def test_two_processes_are_one(tmp_path: Path, scoring: tuple[str, ...]):
    data = write_beir_folder(tmp_path / "shapes")
    texts = [json.loads(line)["text"] for name in ("corpus", "queries") for line in (data / f"{name}.jsonl").open()]
    backbone = write_tiny_bert(tmp_path / "bert", texts)
    # not LCE, in which the head's bias cancels: its gradient is rounding alone, and Adam makes steps of it
    overrides = tiny_overrides(tmp_path, data, backbone, "model.dropout=0.0", "loss=bce", *scoring)
    found = {}
    for processes in (1, 2):
        train_and_score(overrides, processes, tmp_path / f"{processes}.pt")
        found[processes] = torch.load(tmp_path / f"{processes}.pt", weights_only=True)
    for name, weights in found[1]["weights"].items():
        # Adam divides a gradient by its own size: rounding of a small one comes out as a part of the rate, 1e-3
        torch.testing.assert_close(found[2]["weights"][name], weights, atol=1e-4, rtol=0, msg=name)
    np.testing.assert_allclose(found[2]["dev_scores"], found[1]["dev_scores"], atol=1e-4)
    assert found[2]["spent"]["groups"] == found[1]["spent"]["groups"] == STEPS * 4
