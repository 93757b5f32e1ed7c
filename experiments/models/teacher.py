"""A trained cross-encoder that another ranker learns from: its scores of groups, and its layers' vectors of texts.

Shapes: Q queries, N passages a group, P pairs or texts of a step, T tokens of a batch, D hidden size.
"""

from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from experiments.common.cache import Cache
from experiments.config import Model
from experiments.data.batches.distillation_batches import DistilBatcher, SelfPairBatch, SelfPairBatcher
from experiments.data.batches.pair_batches import GroupBatch, PairBatcher
from experiments.data.batches.pairs import PairEncoder, PairTemplate, TokenBatch
from experiments.data.batches.text_batches import TextBatcher
from experiments.data.collection import Collection
from experiments.data.tokens import tokenizer_fingerprint, tokens_of
from experiments.models.compute_cost import CostModel
from experiments.models.packed_forward import (
    choose_layout,
    logits_of,
    packed_hidden_states,
    padded_hidden_states,
    score_of,
)
from experiments.models.trained_pairs import load_classifier
from experiments.pretrained.limits import longest_input
from experiments.pretrained.padding import settle_padding
from experiments.pretrained.source import Source
from experiments.pretrained.tokenizer import tokenizer_of
from experiments.pretrained.weights import is_pooler, load_weights

if TYPE_CHECKING:
    from experiments.models.dual_encoder.config import DualEncoderConfig

LONGEST = 512  # where a config says nothing of positions
KEY = "model.cross_encoder"
GIVE = "give the folder model of a finished cross-encoder job, a folder in Hugging Face format, or a hub id"


class Teacher:
    """A cross-encoder that only reads: no dropout, no gradient. It is no module, so that what holds it neither trains
    it nor keeps it in checkpoints; it follows what it reads to its device.

    ``network``: a sequence classifier of one logit, the score, or of two, whose log-odds are the score.
    """

    def __init__(self, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.network: PreTrainedModel = network.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.layers = int(network.config.num_hidden_layers)
        self.cost = CostModel.of(network)
        settle_padding(network, tokenizer, f"the cross-encoder {network.name_or_path!r}")

    @torch.no_grad()
    def scores(self, batch: GroupBatch) -> Tensor:
        """(Q, N) fp32 scores of groups."""
        scores_P = torch.cat([score_of(self._logits(micro)) for micro in batch.micro_batches])
        return torch.empty_like(scores_P).index_copy(0, batch.place_P, scores_P).view(batch.shape_QN)

    @torch.no_grad()
    def vectors(self, batch: SelfPairBatch, layer: int) -> Tensor:
        """(P, D) fp32 vectors of texts: the mean of a layer's states over the text's own tokens, in the first of its
        two copies. ``layer``: counted as ``output_hidden_states`` does, 0 being the embeddings.
        """
        parts = [
            _means(self._hidden(micro, layer)[own_T], own_counts)
            for micro, own_T, own_counts in zip(batch.micro_batches, batch.own_T, batch.own_counts, strict=True)
        ]
        vectors_PD = torch.cat(parts).float()
        return torch.empty_like(vectors_PD).index_copy(0, batch.place_P, vectors_PD)

    def _logits(self, tokens: TokenBatch) -> Tensor:
        network = self._at(tokens)
        return logits_of(network, tokens, choose_layout(network, "auto", tokens.input_ids_T.device.type))

    def _hidden(self, tokens: TokenBatch, layer: int) -> Tensor:
        network = self._at(tokens)
        layout = choose_layout(network, "auto", tokens.input_ids_T.device.type, head=False)
        states = (packed_hidden_states if layout == "packed" else padded_hidden_states)(network, tokens)
        return next(islice(states, layer, None))

    def _at(self, tokens: TokenBatch) -> PreTrainedModel:
        """The network where the tokens are."""
        network: Any = self.network
        if network.device != tokens.input_ids_T.device:
            network.to(tokens.input_ids_T.device)
        return self.network


def distil_batcher(
    teacher: Teacher,
    texts: TextBatcher,
    collection: Collection,
    model: "DualEncoderConfig",
    cache: Cache,
    tokens_per_batch: int,
) -> DistilBatcher:
    """The batches of a dual encoder whose teacher reads the same groups, cut to about the same tokens: pairs to
    ``max_query_tokens`` and ``max_length`` together, or to what the teacher's positions reach.

    ``tokens_per_batch``: of one forward pass of the teacher, which keeps no activations.
    """
    longest = model.max_query_tokens + model.max_length
    pairs = _pair_batcher(teacher, collection, model, cache, longest, tokens_per_batch)
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
        texts,
        pairs if model.distil != "none" else None,
        alone if model.align_layer is not None else None,
    )


def teacher_batcher(
    teacher: Teacher,
    tokenizer: PreTrainedTokenizerBase,
    collection: Collection,
    model: Model,
    cache: Cache,
    tokens_per_batch: int,
) -> PairBatcher | None:
    """The batches of the teacher of a cross-encoder, cut to ``max_length`` or to what the teacher's positions reach;
    None where it reads the student's own: of the same ``tokenizer``, and as long.

    ``tokens_per_batch``: of one forward pass of the teacher, which keeps no activations.
    """
    alike = tokenizer_fingerprint(tokenizer) == tokenizer_fingerprint(teacher.tokenizer)
    if alike and reach_of(teacher.network, teacher.tokenizer) >= model.max_length:
        return None
    return _pair_batcher(teacher, collection, model, cache, model.max_length, tokens_per_batch)


def _pair_batcher(
    teacher: Teacher, collection: Collection, model: Model, cache: Cache, longest: int, tokens_per_batch: int
) -> PairBatcher:
    """Pairs of at most ``longest`` tokens, or what the teacher's positions reach."""
    tokenizer = teacher.tokenizer
    queries = tokens_of(collection, "queries", tokenizer, model.max_query_tokens, cache)
    passages = tokens_of(collection, "passages", tokenizer, model.max_length, cache)
    longest = min(longest, reach_of(teacher.network, tokenizer))
    encoder = PairEncoder(PairTemplate.of(tokenizer), queries, passages, model.max_query_tokens, longest)
    return PairBatcher(encoder, tokens_per_batch)


def reach_of(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """The longest input of a trained cross-encoder, special tokens included: what its positions reach and its tokenizer
    was set to; 512 where its config does not say.
    """
    return int(min(longest_input(network) or LONGEST, tokenizer.model_max_length))


def _means(states_TD: Tensor, counts: tuple[int, ...]) -> Tensor:
    """(B, D) means of neighbouring rows, so many for each text."""
    return torch.stack([rows_TD.float().mean(dim=0) for rows_TD in torch.split(states_TD, list(counts))])


def load_teacher(place: str, key: str = KEY) -> Teacher:
    """A trained cross-encoder from a folder or the hub, in fp32. ``key``: what names it in the config, for messages.

    Raises:
        ExperimentError: there is none, it has no trained head, or a head of more than two logits.
    """
    return Teacher(*load_classifier(Source(place, key, GIVE)))


def load_encoder(place: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The encoder of a cross-encoder from a folder or the hub without its head, in fp32, and its tokenizer.

    Raises:
        ExperimentError: there is none, or weights of it are missing.
    """
    source = Source(place, KEY, GIVE)
    network, _ = load_weights(AutoModel, source, may_start_anew=is_pooler)
    return network, tokenizer_of(source)
