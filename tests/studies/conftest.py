"""A collection and a tiny BERT over its words, for whole jobs."""

import json
from pathlib import Path

import pytest
from helpers.tiny import write_beir_folder, write_tiny_bert


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in BEIR's layout."""
    return write_beir_folder(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A random BERT in Hugging Face format."""
    texts = [json.loads(line)["text"] for name in ("corpus", "queries") for line in (data / f"{name}.jsonl").open()]
    return write_tiny_bert(tmp_path_factory.mktemp("bert"), texts)
