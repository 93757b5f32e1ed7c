"""The head of every family is found by what it computes, and folded into one logit."""

import pytest
import torch
from helpers.families import FAMILIES
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

from experiments.common.errors import ExperimentError
from experiments.models.heads import check_foldable, head_of, one_logit

HEADS = {
    "electra": "classifier.out_proj",
    "roberta": "classifier.out_proj", "xlm-roberta": "classifier.out_proj", "camembert": "classifier.out_proj",
    "mpnet": "classifier.out_proj", "xlnet": "logits_proj", "qwen3": "score", "qwen3-left": "score", "llama": "score",
    "gpt2": "score", "gpt2-left": "score",
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_is_found_and_folded_to_the_log_odds_or_the_positive_logit(family: str):
    kind, config = FAMILIES[family].kind, FAMILIES[family].config
    torch.manual_seed(0)
    network = AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(kind, vocab_size=60, num_labels=2, **config)
    ).eval()
    assert head_of(network) == HEADS.get(family, "classifier")
    inputs = {"input_ids": torch.tensor([[7, 8, 9, 10, 11]]), "attention_mask": torch.ones(1, 5, dtype=torch.long)}
    with torch.no_grad():
        (first, second), log_odds, positive = network(**inputs).logits[0], None, None
        with one_logit(network, "log_odds"):
            log_odds = network(**inputs).logits
        with one_logit(network, "positive_logit"):
            positive = network(**inputs).logits
        torch.testing.assert_close(log_odds, (second - first).view(1, 1), atol=1e-6, rtol=0)
        torch.testing.assert_close(positive, second.view(1, 1), atol=1e-6, rtol=0)
    assert network.config.num_labels == network.num_labels == 2, "it is left as it was"


def test_a_network_in_training_stays_in_training():
    network = BertForSequenceClassification(BertConfig(vocab_size=20, num_hidden_layers=1, num_labels=2)).train()
    head_of(network)
    assert all(module.training for module in network.modules())


class Squashed(nn.Module):
    """A head whose logits come from no linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(16, 2)

    def forward(self, states: Tensor) -> Tensor:
        return 30 * torch.tanh(self.inner(states) / 30)


def test_a_head_that_cannot_be_folded_is_refused_before_training():
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "num_hidden_layers": 1}
    network = BertForSequenceClassification(BertConfig(vocab_size=20, num_labels=2, **sizes))
    network.classifier = Squashed()
    with pytest.raises(ExperimentError, match=r"backbone 'x' is a BertForSequenceClassification.*such as loss=lce"):
        check_foldable(network, "backbone 'x'")
    network.config.num_labels = 1
    check_foldable(network, "backbone 'x'")
