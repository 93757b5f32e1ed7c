"""The backbone families: each trains, scores the same in any batch, and exports to the same scores."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.families import FAMILIES, write_family
from helpers.tiny import LiteralSource
from numpy.typing import NDArray

from experiments.common.cache import Cache
from experiments.config import Backbone, Optimization, Optimizer
from experiments.data.batches.pair_batches import GroupBatch
from experiments.data.batches.pairs import PairEncoder, PairTemplate, micro_batches
from experiments.data.collection import Collection, open_collection
from experiments.data.ragged import Ragged
from experiments.losses.lce import lce
from experiments.models.backbone import source_of
from experiments.models.cross_encoder.config import CrossEncoderConfig
from experiments.models.cross_encoder.export import PairCut
from experiments.models.cross_encoder.lightning_module import CrossEncoder
from experiments.models.cross_encoder.network import load_cross_encoder
from experiments.models.packed_forward import choose_layout, score_of
from experiments.models.pair_scorer import load_scorer
from experiments.pretrained.tokenizer import tokenizer_of
from experiments.pretrained.weights import is_head

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "is", "what", "a"]
PASSAGES = [
    "alpha is a letter",
    " ".join(WORDS),
    "eta",
    " ".join(reversed(WORDS)) + " and more of the same, again and again, to the very end of it all",
    "the old tongue, zeta",
    "<|im_end|> ends the delta <|im_end|>",  # the padding token of some is a token of a text
]
QUERIES = [
    "what is alpha",
    "beta",
    "what is the old and the new letter of kappa or iota in the tongue, is it a delta or what is it?",
]
SHORT, LIMIT = [0, 1], 8  # the third query is longer than the limit in every vocabulary
PACKED = ("bert", "electra", "roberta", "xlm-roberta", "camembert")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


@pytest.fixture(scope="module")
def collection(folder: Path) -> Collection:
    passages = [(f"p{i}", text) for i, text in enumerate(PASSAGES)]
    queries = [(f"q{i}", text) for i, text in enumerate(QUERIES)]
    return open_collection(LiteralSource(passages, queries, {"train": [("q0", "p0", 1)]}), Cache(folder / "store"))


@cache
def backbone(folder: Path, family: str) -> Backbone:
    texts = [*WORDS, *PASSAGES, *QUERIES] * 3
    return Backbone(name=family, path=str(write_family(folder / family, family, texts)))


class Setting:
    """A cross-encoder of a family in training, and the pairs of all queries with all passages."""

    def __init__(self, backbone: Backbone, logits: int, limit: int = LIMIT, max_length: int = 32) -> None:
        model = CrossEncoderConfig(max_length=max_length, max_query_tokens=limit, logits=logits, dropout=0.0)
        network, tokenizer = load_cross_encoder(backbone, model, seed=1), tokenizer_of(source_of(backbone))
        with torch.no_grad():  # a new head is so small that scores would hardly differ
            for name, parameter in network.named_parameters():
                if is_head(network, name):
                    parameter.add_(torch.randn_like(parameter), alpha=0.5)
        tokens = [
            Ragged.of([tokenizer.encode(text, add_special_tokens=False) for text in texts], np.int64)
            for texts in (QUERIES, PASSAGES)
        ]
        self.encoder = PairEncoder(PairTemplate.of(tokenizer), *tokens, limit, max_length)
        cut, layout = PairCut(limit, max_length), choose_layout(network, "auto", "cpu")
        optimizer = Optimization(Optimizer(lr=1e-3))
        self.module = CrossEncoder(network, tokenizer, lce, optimizer, steps=1, seed=1, layout=layout, cut=cut)
        self.queries, self.passages = np.repeat(np.arange(3), len(PASSAGES)), np.tile(np.arange(len(PASSAGES)), 3)

    def step(self) -> float:
        """The loss of one optimiser step."""
        groups = np.array([[0, 1, 2], [4, 3, 0]]).ravel()
        owners = np.repeat([0, 1], 3)
        parts = micro_batches(self.encoder.lengths(owners, groups), 40)
        micro = tuple(self.encoder.join(owners[part], groups[part]) for part in parts)
        batch = GroupBatch(0, micro, torch.from_numpy(np.concatenate(parts)), (2, 3))
        optimizer = torch.optim.AdamW(self.module.parameters(), lr=1e-3)
        loss, _ = self.module.objective(batch)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    @torch.no_grad()
    def scores(self, tokens_per_batch: int) -> NDArray[np.float32]:
        """(P,) of all pairs, in batches of so many tokens."""
        self.module.eval()
        scores_P = np.empty(len(self.queries), np.float32)
        for part in micro_batches(self.encoder.lengths(self.queries, self.passages), tokens_per_batch):
            tokens = self.encoder.join(self.queries[part], self.passages[part])
            scores_P[part] = score_of(self.module(tokens)).numpy()
        return scores_P


@pytest.mark.parametrize("logits", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_trains_scores_the_same_in_any_batch_and_exports_to_the_same_scores(
    family: str, logits: int, folder: Path, collection: Collection, tmp_path: Path
):
    from sentence_transformers import CrossEncoder as Peer

    setting = Setting(backbone(folder, family), logits)
    assert setting.module.layout == ("packed" if family.startswith(PACKED) else "padded")
    assert np.isfinite(setting.step())
    one_by_one, some, together = (setting.scores(tokens_per_batch) for tokens_per_batch in (1, 64, 4096))
    assert np.isfinite(together).all()
    assert together.std() > 1e-2, "the scores say nothing"
    np.testing.assert_allclose(some, one_by_one, atol=1e-5)
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)
    setting.module.export(tmp_path)
    pairs = [(QUERIES[q], PASSAGES[p]) for q, p in zip(setting.queries, setting.passages, strict=True)]
    within = np.isin(setting.queries, SHORT)
    theirs = Peer(str(tmp_path), device="cpu").predict(pairs, batch_size=5)
    np.testing.assert_allclose(theirs[within], together[within], atol=1e-5)
    own = load_scorer(str(tmp_path)).computed(collection, setting.queries, setting.passages, Cache(tmp_path / "store"))
    np.testing.assert_allclose(own, together, atol=1e-5)
    assert np.abs(theirs - own)[~within].max() > 1e-5, "the library reads the long query whole: README.md says so"


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "deberta-v3"])
def test_a_query_that_may_take_most_of_a_pair_is_left_whole_by_the_exported_model(
    family: str, folder: Path, tmp_path: Path
):
    from sentence_transformers import CrossEncoder as Peer

    setting = Setting(backbone(folder, family), 1, limit=30, max_length=44)
    scores = setting.scores(4096)
    assert max(setting.encoder.queries.lengths) > 18, "the library's way would cut the query too"
    setting.module.export(tmp_path)
    pairs = [(QUERIES[q], PASSAGES[p]) for q, p in zip(setting.queries, setting.passages, strict=True)]
    np.testing.assert_allclose(Peer(str(tmp_path), device="cpu").predict(pairs), scores, atol=1e-5)
