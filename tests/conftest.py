"""What all tests share: no network, no account, few threads."""

import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["WANDB_MODE"] = "offline"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side, a worker a core


@pytest.fixture(autouse=True)
def _no_hydra_left() -> None:
    """Hydra's state is global to the process; a test that failed half-way must not spoil the next."""
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
