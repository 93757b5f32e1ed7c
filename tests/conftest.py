"""What all tests share: no network, no account, few threads; a collection and a tiny BERT for whole jobs."""

import gc
import json
import os
from pathlib import Path

import pytest
from helpers.tiny import write_beir_folder, write_tiny_bert

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["WANDB_MODE"] = "offline"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side, a worker a core


def pytest_collection_finish() -> None:
    """Spare Python's collector what is there before the first test, the thousands of tests among it: it looked at them
    again and again, a fifth of the time of tests that compose configs.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def _no_hydra_left() -> None:
    """Hydra's state is global to the process; a test that failed half-way must not spoil the next."""
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in BEIR's layout."""
    return write_beir_folder(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A random BERT in Hugging Face format."""
    texts = [json.loads(line)["text"] for name in ("corpus", "queries") for line in (data / f"{name}.jsonl").open()]
    return write_tiny_bert(tmp_path_factory.mktemp("bert"), texts)
