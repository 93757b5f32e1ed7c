"""Share steps between encoders of single texts (ColBERT, dual encoders), on sentence-transformers' ``Transformer``."""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from experiments.config import Model
from experiments.data.batches.text_batches import RunTexts, TextBatcher, places_of_rank
from experiments.data.batches.text_features import features_of
from experiments.models.ranker import Ranker
from experiments.models.ranks import ranks, summed_tensor
from experiments.pretrained.limits import check_length
from experiments.pretrained.padding import settle_padding
from experiments.pretrained.source import quiet
from experiments.pretrained.tokenizer import keep

if TYPE_CHECKING:
    from experiments.models.training_setup import TrainingInputs


class TextRanker(Ranker):
    """Score a run with an encoder that encodes each text once."""

    network: Any

    def begin_scoring(self, pairs: int) -> None:
        self.encoded: dict[tuple[str, int], Tensor] = {}  # (kind, row) -> vector or token vectors, for one run

    @abstractmethod
    def query_scores(self, query: int, passages: list[int]) -> Tensor:
        """Return the scores of one query's passages from their vectors."""

    def gathered_scores(self) -> Tensor:
        assert self.dev is not None
        run = self.dev.run
        scores_P, offsets = torch.zeros(len(run.passages.values)), run.passages.offsets
        for place in places_of_rank(run, self.global_rank, ranks()):
            scores = self.query_scores(int(run.queries[place]), run.passages[place].tolist())
            scores_P[offsets[place] : offsets[place + 1]] = scores
        self.encoded = {}
        return summed_tensor(scores_P, self.device)

    def export(self, folder: Path) -> None:
        with quiet():
            self.network.save_pretrained(str(folder), create_model_card=False)


def text_batches(
    inputs: "TrainingInputs", encoder: Any, layout: str
) -> tuple[TextBatcher, Callable[..., Dataset[Any]]]:
    """Return the batcher of an encoder's groups, and the factory of the batches in which it scores a run."""
    queries, passages = (
        features_of(inputs.collection, texts, encoder, inputs.cache) for texts in ("queries", "passages")
    )
    train_tokens, score_tokens = (inputs.tokens_per_batch(purpose, layout) for purpose in ("train", "score"))
    batcher = TextBatcher(queries, passages, inputs.never_negative, train_tokens, inputs.passage_hashes)
    return batcher, partial(RunTexts, queries=queries, passages=passages, tokens_per_batch=score_tokens)


def check_reach(network: PreTrainedModel, model: Model, label: str) -> None:
    """Raise ExperimentError if the maximum lengths of ``model`` exceed a network's positions."""
    check_length(network, "model.max_length", model.max_length, label)
    check_length(network, "model.max_query_tokens", model.max_query_tokens, label)


def set_module_dropout(network: nn.Module, rate: float | None) -> None:
    """Set the rate of every dropout module; None keeps the rates of the backbone."""
    for module in network.modules():
        if isinstance(module, nn.Dropout) and rate is not None:
            module.p = rate


def settle_text_tokenizer(transformer: Any, label: str) -> None:
    """Give tokenizer and network one padding token, and drop segment ids if the tokenizer sets any other than 0.

    XLNet's last token has its own segment, which training does not pass on; an export must not either.
    """
    settle_padding(transformer.model, transformer.tokenizer, label)
    if any(transformer.tokenizer("a", return_token_type_ids=True)["token_type_ids"]):
        keep(transformer.tokenizer, model_input_names=["input_ids", "attention_mask"])
