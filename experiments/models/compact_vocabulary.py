"""Train only the word embeddings of tokens that a collection has: the others would cost every step their share of the
gradient, its norm and the optimiser, and never change but by weight decay.

Shapes: V words of the tokenizer, U of them used, D dimensions of an embedding.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WORTH_WHILE = 0.8  # share of used words above which nothing is left out


class CompactEmbedding(nn.Module):
    """The used rows of a table of word embeddings, and a row of ones.

    The row of ones gets no gradient. So AdamW, and any average of weights, do to it what they would do to an unused
    row: multiply it by a factor. ``whole`` applies that factor to them.
    """

    def __init__(self, table: nn.Embedding, used_V: NDArray[np.bool_]) -> None:
        super().__init__()
        self.num_embeddings = len(used_V)  # words that may be named, as of the whole table
        self.used = torch.from_numpy(np.flatnonzero(used_V))
        ones_1D = torch.ones(1, table.embedding_dim)
        self.weight = nn.Parameter(torch.cat([table.weight.detach()[self.used], ones_1D]))
        place_V = torch.full((len(used_V),), len(self.weight))  # beyond the table: an error if it is looked up
        place_V[self.used] = torch.arange(len(self.used))
        self.place_V: Tensor
        self.register_buffer("place_V", place_V, persistent=False)
        padding = table.padding_idx
        self.padding_idx = int(place_V[padding]) if padding is not None else None
        self._table = [table]  # in a list, so that it is no part of this module

    def forward(self, token_ids: Tensor) -> Tensor:
        """Return the (..., D) embeddings of token ids."""
        return embedding(self.place_V[token_ids], self.weight, self.padding_idx)

    @torch.no_grad()
    def whole(self) -> nn.Embedding:
        """Return the table of all words with the trained rows."""
        (table,) = self._table
        weight_UD = self.weight.detach().to(table.weight.device)
        table.weight.mul_(weight_UD[-1, 0])
        table.weight[self.used] = weight_UD[:-1]
        return table


def compact_vocabulary(network: "PreTrainedModel", used_V: NDArray[np.bool_]) -> None:
    """Leave a network the embeddings of the used words and of the padding only, where that saves a fifth or more."""
    table: Any = network.get_input_embeddings()
    used_V = used_V.copy()
    for padding in (table.padding_idx, network.config.get_text_config().pad_token_id):
        if padding is not None:
            used_V[padding] = True
    if type(table) is nn.Embedding and len(used_V) == table.num_embeddings and used_V.mean() < WORTH_WHILE:
        network.set_input_embeddings(CompactEmbedding(table, used_V))


def whole_vocabulary(network: "PreTrainedModel") -> None:
    """Give a network its table of all words back, if ``compact_vocabulary`` has taken it."""
    table: Any = network.get_input_embeddings()
    if isinstance(table, CompactEmbedding):
        network.set_input_embeddings(table.whole())
