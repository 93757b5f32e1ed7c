"""Compute MaxSim, the score of late interaction: the best similarity of each query token to a passage token, summed
over the query's tokens (Khattab and Zaharia 2020, equation 3).

Each block of query tokens x passage tokens is one matrix product that fits the processor's cache. A block is ordered by
token position (the first token of every passage, then the second ...), so that maxima run over whole rows. Padding
needs no mask: a short passage repeats its last token, which changes no maximum; a short query gets zeros, which add 0.

Half-precision embeddings are computed in fp32, on a CPU or a GPU.

Shapes: Q queries, C queries of a chunk, S tokens of the longest query of a chunk, P passages, L tokens of the longest
passage of a block, T tokens of all passages, R tokens of a block (L x P), D dimensions, N passages of one query.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from experiments.data.ragged import Ragged, batches_by_length, offsets_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Tokens of passages x tokens of queries in one product: 4 MB of similarities fit the cache of a CPU core.
CPU_BLOCK = (1024, 1024)
GPU_BLOCK = (32_768, 8_192)


@dataclass(frozen=True)
class QueryChunk:
    """Queries of similar length. ``rows_C``: their rows. ``tokens_DX``: (D, C x S) fp32, the tokens as columns."""

    rows_C: "Tensor"
    tokens_DX: "Tensor"


class Queries:
    """Token embeddings (ragged rows of (tokens, D), float32 or float16) of Q queries, chunked for scoring."""

    def __init__(self, embeddings: Ragged, device: "torch.device | str" = "cpu") -> None:
        import torch

        self.device = torch.device(device)
        self.embeddings = embeddings
        self.block_tokens, chunk_tokens = CPU_BLOCK if self.device.type == "cpu" else GPU_BLOCK
        self.chunks = [
            _chunk(embeddings, rows, self.device) for rows in batches_by_length(embeddings.lengths, chunk_tokens)
        ]

    def __len__(self) -> int:
        return len(self.embeddings)


def maxsim(queries: Queries, passages: Ragged) -> "Tensor":
    """Score all queries with all passages (ragged rows of at least one token): (Q, P) fp32, on the queries' device."""
    import torch

    from experiments.pretrained.products import linear

    tokens_TD = torch.from_numpy(passages.values).to(queries.device)
    scores_QP = torch.empty(len(queries), len(passages), device=queries.device)
    for rows_P in batches_by_length(passages.lengths, queries.block_tokens):
        lengths_P = passages.lengths[rows_P]
        # Position of token l of passage p; past the end, of its last token.
        places_LP = passages.offsets[rows_P] + np.minimum(np.arange(lengths_P.max())[:, None], lengths_P - 1)
        block_RD = tokens_TD[torch.from_numpy(places_LP.ravel()).to(queries.device)].float()
        columns_P = torch.from_numpy(rows_P).to(queries.device)
        for chunk in queries.chunks:
            similar_LPX = linear(block_RD, chunk.tokens_DX.T).view(*places_LP.shape, -1)
            best_PCS = similar_LPX.amax(0).view(len(rows_P), len(chunk.rows_C), -1)
            scores_QP[chunk.rows_C[:, None], columns_P] = best_PCS.sum(-1).T
    return scores_QP


def maxsim_pairs(query_SD: "Tensor", passages: Ragged) -> "Tensor":
    """Score one query (fp32 token embeddings) with passages of at least one token: (N,) fp32, on its device."""
    import torch

    tokens_TD = torch.from_numpy(passages.values).to(query_SD.device).float()
    lengths_N = torch.from_numpy(passages.lengths).to(query_SD.device)
    best_NS = torch.segment_reduce(tokens_TD @ query_SD.T, "max", lengths=lengths_N, axis=0)
    return best_NS.sum(1)


def rows_at(embeddings: Ragged, rows: NDArray[np.int64]) -> Ragged:
    """Copy rows of ragged embeddings, in the given order, into memory."""
    lengths = embeddings.offsets[rows + 1] - embeddings.offsets[rows]
    offsets = offsets_of(lengths)
    places = np.repeat(embeddings.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
    return Ragged(np.asarray(embeddings.values[places]), offsets)


def _chunk(embeddings: Ragged, rows: NDArray[np.int64], device: "torch.device") -> QueryChunk:
    import torch

    width = max(1, int(embeddings.lengths[rows].max()))
    tokens_CSD = np.zeros((len(rows), width, embeddings.values.shape[1]), np.float32)
    for i, row in enumerate(rows):
        tokens_CSD[i, : len(embeddings[row])] = embeddings[row]
    flat_XD = torch.from_numpy(tokens_CSD).to(device).flatten(0, 1)
    return QueryChunk(torch.from_numpy(rows).to(device), flat_XD.T.contiguous())
