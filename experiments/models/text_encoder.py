"""What encoders of single texts share: ColBERT and dual encoders, on sentence-transformers' ``Transformer``."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from torch.utils.data import Dataset
from transformers import PreTrainedModel

from experiments.config import Model
from experiments.data.batches.text_batches import RunTexts, TextBatcher
from experiments.data.batches.text_features import features_of
from experiments.pretrained.limits import check_length
from experiments.pretrained.padding import settle_padding
from experiments.pretrained.tokenizer import keep

if TYPE_CHECKING:
    from experiments.models.training_setup import TrainingInputs


def text_batches(
    inputs: "TrainingInputs", encoder: Any, layout: str
) -> tuple[TextBatcher, Callable[..., Dataset[Any]]]:
    """Return what an encoder of single texts reads of groups, and the batches in which it scores a run."""
    queries, passages = (
        features_of(inputs.collection, texts, encoder, inputs.cache) for texts in ("queries", "passages")
    )
    train_tokens, score_tokens = (inputs.tokens_per_batch(purpose, layout) for purpose in ("train", "score"))
    batcher = TextBatcher(queries, passages, inputs.never_negative, train_tokens, inputs.passage_hashes)
    return batcher, partial(RunTexts, queries=queries, passages=passages, tokens_per_batch=score_tokens)


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
