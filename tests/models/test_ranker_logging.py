"""What a training logs, and at which steps."""

import json
from typing import Any

import pytest
import pytorch_lightning as pl
from helpers.jobs import composed, tiny_overrides
from helpers.tiny import write_beir_folder, write_tiny_bert
from pytorch_lightning.loggers.logger import Logger

from experiments.common.cache import Cache
from experiments.config import compose
from experiments.data.collection import open_collection
from experiments.job_files.history import DIAGNOSTICS
from experiments.jobs.components import make_components
from experiments.jobs.prepare import prepare


class Kept(Logger):
    """Keeps what Lightning logs: step (from 1) -> values."""

    name, version = "kept", 0

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, dict[str, float]] = {}

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None: ...

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert step is not None
        self.rows.setdefault(step + 1, {}).update(metrics)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, float]]:
    """A training of 6 steps of 4 groups of 4, logged every 3."""
    tmp_path = tmp_path_factory.mktemp("logged")
    data = write_beir_folder(tmp_path / "shapes")
    texts = [json.loads(line)["text"] for name in ("corpus", "queries") for line in (data / f"{name}.jsonl").open()]
    overrides = tiny_overrides(tmp_path, data, write_tiny_bert(tmp_path / "bert", texts))
    experiment = compose.check(composed(*overrides))
    parts, store = make_components(experiment), Cache(experiment.cache)
    prepared = prepare(experiment, open_collection(parts.source, store), parts, store)
    training, logger = experiment.model.build(prepared), Kept()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=6,
        limit_val_batches=0,
        log_every_n_steps=3,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=logger,
        default_root_dir=tmp_path,
    )
    trainer.fit(training.module, datamodule=training.data)
    return logger.rows


def test_a_step_in_log_every_is_logged_with_all_of_its_values(logged: dict[int, dict[str, float]]):
    assert sorted(logged) == [3, 6]
    values = {"loss", "lr", "gradient_norm", "groups", "pairs", "tokens_per_second", *DIAGNOSTICS}
    assert all(row.keys() >= {f"train/{name}" for name in values} for row in logged.values())


def test_what_was_spent_is_that_of_the_step(logged: dict[int, dict[str, float]]):
    assert [logged[step]["train/groups"] for step in (3, 6)] == [12, 24]
    assert [logged[step]["train/pairs"] for step in (3, 6)] == [48, 96]
