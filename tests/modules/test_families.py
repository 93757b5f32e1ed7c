"""The backbone families: each scores in batches as one by one, and exports to the same scores."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny import write_tiny_bert
from transformers import AutoConfig, AutoModel, AutoTokenizer

from experiments.data.pairs import PairEncoder, PairTemplate
from experiments.data.ragged import Ragged
from experiments.losses.lce import lce
from experiments.modules.backbone import load_cross_encoder, load_tokenizer
from experiments.modules.cross_encoder import CrossEncoder, choose_layout, score_of
from experiments.schema import Backbone, Model, Optimizer

TEXTS = ["what is alpha", "beta gamma delta epsilon zeta", "alpha is a letter", "eta"]
COMMON = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
FAMILIES = {
    "electra": {"embedding_size": 16, "max_position_embeddings": 64},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_position_embeddings": 64},
    "modernbert": {"max_position_embeddings": 64, "pad_token_id": 0, "global_attn_every_n_layers": 2},
    "bert": {"max_position_embeddings": 64},
}


@pytest.fixture(params=FAMILIES)
def backbone(request: pytest.FixtureRequest, tmp_path: Path) -> Backbone:
    """A random network of a family, with a BERT tokenizer beside it."""
    folder = write_tiny_bert(tmp_path / request.param, TEXTS)
    vocabulary = len(AutoTokenizer.from_pretrained(folder))
    config = AutoConfig.for_model(request.param, vocab_size=vocabulary, **COMMON, **FAMILIES[request.param])
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    return Backbone(name=request.param, path=str(folder))


@pytest.mark.parametrize("logits", [1, 2])
def test_a_family_scores_in_batches_as_one_by_one_and_after_export(backbone: Backbone, tmp_path: Path, logits: int):
    from sentence_transformers import CrossEncoder as Peer

    tokenizer = load_tokenizer(backbone)
    network = load_cross_encoder(backbone, Model(max_length=32, max_query_tokens=8, logits=logits), seed=1)
    layout = choose_layout(network, "auto", "cpu")
    assert layout == ("packed" if backbone.name in ("bert", "electra") else "padded")
    module = CrossEncoder(network, tokenizer, lce, Optimizer(), steps=1, seed=1, layout=layout).eval()
    tokens = Ragged.of([tokenizer.encode(text, add_special_tokens=False) for text in TEXTS], np.int64)
    encoder = PairEncoder(PairTemplate.of(tokenizer), tokens, tokens, 8, 32)
    queries, passages = np.array([0, 0, 0]), np.array([1, 2, 3])
    with torch.no_grad():
        together_B = score_of(module(encoder.join(queries, passages))).numpy()
        alone_B = [float(score_of(module(encoder.join(queries[i : i + 1], passages[i : i + 1])))) for i in range(3)]
    np.testing.assert_allclose(together_B, alone_B, atol=1e-5)
    module.export(tmp_path / "export")
    theirs_B = Peer(str(tmp_path / "export"), max_length=32).predict([(TEXTS[0], TEXTS[i]) for i in passages])
    np.testing.assert_allclose(theirs_B, together_B, atol=1e-5)
