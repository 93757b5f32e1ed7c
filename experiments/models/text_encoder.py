"""What encoders of single texts share: ColBERT and dual encoders, on sentence-transformers' ``Transformer``."""

from typing import Any

from transformers import PreTrainedModel

from experiments.config import Model
from experiments.pretrained.limits import check_length
from experiments.pretrained.padding import settle_padding
from experiments.pretrained.tokenizer import keep


def check_reach(network: PreTrainedModel, model: Model, said: str) -> None:
    """Refuse texts longer than a network's positions.

    Raises:
        ExperimentError: for queries or passages, with the longest that can be set.
    """
    check_length(network, "model.max_length", model.max_length, said)
    check_length(network, "model.max_query_tokens", model.max_query_tokens, said)


def settle_text_tokenizer(transformer: Any, said: str) -> None:
    """Give tokenizer and network one padding token, and let the tokenizer leave out segment ids other than 0: XLNet's
    last token has a segment of its own, which training does not pass on, so that an export must not.
    """
    settle_padding(transformer.model, transformer.tokenizer, said)
    if any(transformer.tokenizer("a", return_token_type_ids=True)["token_type_ids"]):
        keep(transformer.tokenizer, model_input_names=["input_ids", "attention_mask"])
