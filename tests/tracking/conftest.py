"""A home folder in which nobody has ever logged in to W&B."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.wandb_records import isolated_wandb


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def no_account(home: Path) -> Iterator[pytest.MonkeyPatch]:
    with isolated_wandb(home) as patch:
        yield patch
