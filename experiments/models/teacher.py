"""Read a trained cross-encoder from which another ranker learns: its scores of groups, or its layers' vectors of texts.

Shapes: Q queries, N passages per group, P pairs or texts of a step, T tokens of a batch, D hidden size.
"""

from contextlib import nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from experiments.common.cache import Cache
from experiments.common.progress import tracked
from experiments.config import Model
from experiments.data.batches.distillation_batches import DistilBatcher, SelfPairBatch, SelfPairBatcher
from experiments.data.batches.pair_batches import GroupBatch, PairBatcher
from experiments.data.batches.pairs import PairEncoder, PairTemplate, TokenBatch, micro_batches
from experiments.data.batches.text_batches import TextBatcher
from experiments.data.collection import Collection
from experiments.data.ragged import Rows
from experiments.data.tokens import tokens_of
from experiments.models.compute_cost import CostModel
from experiments.models.packed_forward import (
    choose_layout,
    logits_of,
    padded_hidden_states,
    score_of,
)
from experiments.models.trained_pairs import load_classifier
from experiments.pretrained.limits import longest_input
from experiments.pretrained.packed_layers import packed_hidden_states
from experiments.pretrained.padding import settle_padding
from experiments.pretrained.source import Source
from experiments.pretrained.tokenizer import tokenizer_of
from experiments.pretrained.weights import is_pooler, load_weights

if TYPE_CHECKING:
    from experiments.models.dual_encoder.config import DualEncoderConfig

LONGEST = 512  # where a config has no number of positions
KEY = "model.cross_encoder"
FIX = "give the folder model of a finished cross-encoder job, a folder in Hugging Face format, or a hub id"


class Teacher:
    """A frozen cross-encoder: no dropout, no gradient.

    It is not a module, so its owner neither trains it nor saves it in checkpoints. It moves to the device of its input.

    ``network``: a sequence classifier of one logit, or of two whose log-odds are the score.
    """

    def __init__(self, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.network: PreTrainedModel = network.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.layers = int(network.config.num_hidden_layers)
        self.cost = CostModel.of(network)
        settle_padding(network, tokenizer, f"the cross-encoder {network.name_or_path!r}")

    @torch.no_grad()
    def scores(self, batch: GroupBatch) -> Tensor:
        """Return the (Q, N) fp32 scores of groups."""
        scores_P = torch.cat([score_of(self._logits(micro)) for micro in batch.micro_batches])
        return torch.empty_like(scores_P).index_copy(0, batch.place_P, scores_P).view(batch.shape_QN)

    @torch.no_grad()
    def pair_scores(
        self, encoder: PairEncoder, queries: Rows, passages: Rows, *, tokens_per_batch: int, device: str, precision: str
    ) -> NDArray[np.float32]:
        """Return the (P,) scores of pairs of (P,) rows.

        ``encoder``: see ``teacher_encoder``. ``tokens_per_batch``: of one forward pass. ``precision``: of the training,
        as Lightning names it, in which its teacher is computed too.
        """
        half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
        scores_P = np.empty(len(queries), np.float32)
        with tracked(f"the teacher scores {len(queries):,} pairs", len(queries)) as advance:
            for part_B in micro_batches(encoder.lengths(queries, passages), tokens_per_batch):
                tokens = encoder.join(queries[part_B], passages[part_B]).to(device)
                with torch.autocast(device, half) if half is not None else nullcontext():
                    scores_P[part_B] = score_of(self._logits(tokens)).float().cpu().numpy()
                advance(len(part_B))
        return scores_P

    @torch.no_grad()
    def vectors(self, batch: SelfPairBatch, layer: int) -> Tensor:
        """Return the (P, D) fp32 vectors of texts: the mean of a layer's states over the text's own tokens, in the
        first of its two copies. ``layer``: counted as in ``output_hidden_states``, 0 for the embeddings.
        """
        parts = [
            rows_TD.float().mean(dim=0)
            for micro, own_T, own_counts in zip(batch.micro_batches, batch.own_T, batch.own_counts, strict=True)
            for rows_TD in torch.split(self._hidden(micro, layer)[own_T], list(own_counts))
        ]
        vectors_PD = torch.stack(parts)
        return torch.empty_like(vectors_PD).index_copy(0, batch.place_P, vectors_PD)

    def _logits(self, tokens: TokenBatch) -> Tensor:
        network = self._at(tokens)
        return logits_of(network, tokens, _layout_for(network, tokens, head=True))

    def _hidden(self, tokens: TokenBatch, layer: int) -> Tensor:
        network = self._at(tokens)
        layout = _layout_for(network, tokens, head=False)
        states = (packed_hidden_states if layout == "packed" else padded_hidden_states)(network, tokens)
        return next(islice(states, layer, None))

    def _at(self, tokens: TokenBatch) -> PreTrainedModel:
        """Move the network to the tokens' device."""
        network: Any = self.network
        if network.device != tokens.input_ids_T.device:
            network.to(tokens.input_ids_T.device)
        return self.network


def _layout_for(network: PreTrainedModel, tokens: TokenBatch, *, head: bool) -> str:
    """Return how a pass over these is computed, in the precision of the ``autocast`` around it."""
    device = tokens.input_ids_T.device.type
    return choose_layout(
        network, "auto", device, head=head, precision="16-mixed" if torch.is_autocast_enabled(device) else "32-true"
    )


def distil_batcher(
    teacher: Teacher,
    texts: TextBatcher,
    collection: Collection,
    model: "DualEncoderConfig",
    cache: Cache,
    tokens_per_batch: int,
) -> DistilBatcher:
    """Return the batcher of a dual encoder whose teacher reads the same groups, with pairs cut to ``max_query_tokens``
    and ``max_length`` together, or to the teacher's positions.

    ``tokens_per_batch``: of one forward pass of the teacher, without activations kept.
    """
    longest = model.max_query_tokens + model.max_length
    pairs = PairBatcher(_pair_encoder(teacher, collection, model, cache, longest), tokens_per_batch)
    alone = SelfPairBatcher(
        pairs.encoder.template,
        pairs.encoder.queries,
        pairs.encoder.passages,
        model.max_query_tokens,
        model.max_length,
        reach_of(teacher.network, teacher.tokenizer),
        tokens_per_batch,
    )
    return DistilBatcher(
        texts, pairs if model.distil != "none" else None, alone if model.align_layer is not None else None
    )


def teacher_encoder(teacher: Teacher, collection: Collection, model: Model, cache: Cache) -> PairEncoder:
    """Return what joins pairs in the tokens of a cross-encoder's teacher, cut to the student's ``max_query_tokens`` and
    ``max_length``, or to the teacher's positions.
    """
    return _pair_encoder(teacher, collection, model, cache, model.max_length)


def _pair_encoder(teacher: Teacher, collection: Collection, model: Model, cache: Cache, longest: int) -> PairEncoder:
    """Join pairs of at most ``longest`` tokens, or the teacher's positions."""
    tokenizer = teacher.tokenizer
    queries = tokens_of(collection, "queries", tokenizer, model.max_query_tokens, cache)
    passages = tokens_of(collection, "passages", tokenizer, model.max_length, cache)
    longest = min(longest, reach_of(teacher.network, tokenizer))
    return PairEncoder(PairTemplate.of(tokenizer), queries, passages, model.max_query_tokens, longest)


def reach_of(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the longest input of a trained cross-encoder, special tokens included: the lower of its positions (512 if
    unknown) and its tokenizer's limit.
    """
    return int(min(longest_input(network) or LONGEST, tokenizer.model_max_length))


def load_teacher(place: str, key: str = KEY) -> Teacher:
    """Load a trained cross-encoder in fp32 from a folder or the hub. ``key``: its config key, for messages.

    Raises:
        ExperimentError: it cannot be found, has no trained head, or has more than two logits.
    """
    return Teacher(*load_classifier(Source(place, key, FIX)))


def load_encoder(place: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the encoder of a cross-encoder without its head, in fp32, and its tokenizer.

    Raises:
        ExperimentError: it cannot be found, or lacks weights.
    """
    source = Source(place, KEY, FIX)
    network, _ = load_weights(AutoModel, source, may_be_random=is_pooler)
    return network, tokenizer_of(source)
