"""An approximate index for ColBERT: what is missing is said; where fast-plaid is installed, it finds what is exact."""

from pathlib import Path

import numpy as np
import pytest
from helpers.colbert import write_stanford_colbert
from helpers.tiny import LiteralSource

from experiments.common.cache import Cache
from experiments.common.errors import ExperimentError
from experiments.data.collection import open_collection
from experiments.retrieval import plaid
from experiments.retrieval.colbert import ColBERT


def can_be_used() -> bool:
    try:
        plaid.require("index")
    except ExperimentError:
        return False
    return True


def test_without_the_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    def absent(name: str) -> list[str]:
        raise plaid.PackageNotFoundError(name)

    monkeypatch.setattr(plaid, "requires", absent)
    with pytest.raises(ExperimentError, match=r"retrievers.colbert.index=plaid needs the package fast-plaid"):
        ColBERT(index="plaid")


@pytest.mark.parametrize(
    ("needs", "said"), [("torch==2.11.0", "built for torch 2.11.0"), ("torch>=2.7", "torch that it does not name")]
)
def test_a_build_for_another_torch_is_refused(monkeypatch: pytest.MonkeyPatch, needs: str, said: str):
    monkeypatch.setattr(plaid, "requires", lambda name: ["numpy>=1", needs])
    monkeypatch.setattr(plaid, "version", {"fast-plaid": "1.7.0.2110", "torch": "2.13.0+cpu"}.__getitem__)
    with pytest.raises(ExperimentError, match=rf"fast-plaid 1.7.0.2110 is .*{said}, but torch 2.13.0 is installed"):
        plaid.require("retrievers.colbert.index")


def test_a_build_for_the_installed_torch_is_accepted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plaid, "requires", lambda name: ["torch==2.11.0"])
    monkeypatch.setattr(plaid, "version", {"torch": "2.11.0+cu128"}.__getitem__)
    plaid.require("retrievers.colbert.index")


def test_candidates_and_an_index_exclude_each_other():
    with pytest.raises(ExperimentError, match="candidates_from must be null"):
        ColBERT(index="plaid", candidates_from=ColBERT())


@pytest.mark.skipif(not can_be_used(), reason="needs fast-plaid and the torch that it is built for")
def test_the_index_finds_most_of_what_exact_search_finds(tmp_path: Path):
    random = np.random.default_rng(0)
    words = [f"{first}{second}" for first in "bdfghklm" for second in ("ab", "en", "ir", "os", "ut", "yx")]
    passages = [(f"p{i}", " ".join(random.choice(words, random.integers(5, 20)))) for i in range(600)]
    queries = [(f"q{i}", " ".join(random.choice(words, 4))) for i in range(20)]
    store = Cache(tmp_path)
    collection = open_collection(LiteralSource(passages, queries, {"test": [("q0", "p0", 1)]}), store)
    checkpoint = str(write_stanford_colbert(tmp_path / "model", words, dimension=32))
    exact = ColBERT(checkpoint).retrieve(collection, np.arange(20), 10, store)
    for _ in range(2):  # built, then found again
        found = ColBERT(checkpoint, index="plaid").retrieve(collection, np.arange(20), 10, store)
    assert (store.builds["plaid"], store.hits["plaid"]) == (1, 1)
    recall = np.mean([len(np.intersect1d(found.ranking(i), exact.ranking(i))) / 10 for i in range(20)])
    assert recall > 0.5
    assert found.scores[0] == pytest.approx(exact.scores[0], rel=0.2)
