"""The keys of the cross-encoder in the group ``model``, and how it is built from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from experiments.common.checks import one_of
from experiments.common.code_versions import PACKED, PAIRS, versions_of
from experiments.common.errors import ExperimentError
from experiments.config.long_documents import LongDocuments
from experiments.config.model import Model

if TYPE_CHECKING:
    from experiments.models.cross_encoder.lightning_module import CrossEncoder
    from experiments.models.training_setup import TrainingInputs, TrainingSetup
    from experiments.pretrained.source import Source

ADAMW = "torch.optim.AdamW"  # whose decay of a weight does not depend on its gradient


@dataclass
class CrossEncoderConfig(Model, LongDocuments):
    """A cross-encoder: one network reads query and passage together and scores the pair."""

    name: str = "cross_encoder"
    rank_by: str = "log_odds"
    """With 2 logits, the score that ranks: ``log_odds`` or the ``positive_logit`` alone (Pradeep 2022)."""
    fresh_pooler: str = "identity"
    """Initial BERT pooler if the backbone has none: ``identity`` or ``random``."""
    head_bias: str = "zero"
    """Initial bias of a new head: ``zero``, or ``prior``: the log-odds of a positive among a group's pairs, minus the
    logarithm of ``negatives.count``, with which BCE begins at its best constant score; LCE looks at differences
    alone."""

    unnamed: ClassVar[bool] = True
    two_logits: ClassVar[bool] = True
    recomputes: ClassVar[bool] = True
    rounds: ClassVar[bool] = True
    packs: ClassVar[bool] = True
    probed: ClassVar[bool] = True
    takes_lists: ClassVar[bool] = True
    takes_teacher: ClassVar[bool] = True
    teaches: ClassVar[bool] = True
    goes_on: ClassVar[bool] = True
    code: ClassVar[Mapping[str, int]] = {
        **versions_of(*PAIRS, *PACKED),
        "models.cross_encoder.lightning_module": 1,
        "models.cross_encoder.network": 1,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_document()
        one_of("model.fresh_pooler", self.fresh_pooler, ("identity", "random"))
        one_of("model.head_bias", self.head_bias, ("zero", "prior"))
        one_of("model.rank_by", self.rank_by, ("log_odds", "positive_logit"))
        if self.rank_by == "positive_logit" and self.logits == 1:
            raise ExperimentError("model.rank_by=positive_logit needs model.logits=2: one logit is the log-odds")

    def labels(self) -> dict[str, Any]:
        return {**super().labels(), **self.document_label()}

    def module_class(self) -> Callable[..., "CrossEncoder"]:
        """Return the LightningModule class; a variant of the model returns its own."""
        from experiments.models.cross_encoder.lightning_module import CrossEncoder

        return CrossEncoder

    def build(self, inputs: "TrainingInputs") -> "TrainingSetup":
        from dataclasses import replace
        from functools import partial

        from experiments.data.batches.pair_batches import PairBatcher, RunPairs
        from experiments.models.backbone import start_of
        from experiments.models.cross_encoder.export import PairCut
        from experiments.models.cross_encoder.network import load_cross_encoder, pair_encoder
        from experiments.models.packed_forward import choose_layout
        from experiments.models.teacher_values import teacher_pairs
        from experiments.pretrained.limits import check_vocabulary
        from experiments.pretrained.tokenizer import tokenizer_of

        experiment, cache = inputs.experiment, inputs.cache
        start, trained = start_of(experiment), experiment.init_from.path is not None
        network = load_cross_encoder(start, self, experiment.seed, experiment.negatives.count, trained=trained)
        layout = choose_layout(network, experiment.compute.layout, inputs.device, precision=inputs.precision)
        score_tokens = inputs.tokens_per_batch("score", layout)
        tokenizer = tokenizer_of(start)
        check_vocabulary(network, tokenizer, start.label)
        encoder = pair_encoder(inputs.collection, tokenizer, self, cache)
        batcher, teacher_cost = PairBatcher(encoder, inputs.tokens_per_batch("train", layout)), None
        if experiment.learns_from_teacher:
            teacher, teacher_cost = teacher_pairs(inputs, self, batcher, score_tokens)
            batcher = replace(batcher, teacher=teacher)
        compact = inputs.device == "cpu" and experiment.optimizer._target_ == ADAMW
        table: Any = network.get_input_embeddings()
        make_module = partial(
            self.module_class(),
            network,
            tokenizer,
            layout=layout,
            rank_by=self.rank_by,
            recompute=experiment.batch.checkpoint,
            cut=PairCut.of(encoder, self.windows),
            teacher_cost=teacher_cost,
            words_V=encoder.words(table.num_embeddings) if compact else None,
        )
        scoring = partial(RunPairs, encoder=encoder, tokens_per_batch=score_tokens, windows=self.windows)
        return inputs.setup(make_module, batcher, scoring)

    def check_start(self, source: "Source") -> None:
        from experiments.models.backbone_check import check_trained

        check_trained(source, whole=True)

    def check_backbone(self, source: "Source") -> None:
        from transformers import AutoModelForSequenceClassification

        from experiments.models.backbone_check import check_fit
        from experiments.pretrained.limits import check_length
        from experiments.pretrained.weights import is_head

        network = check_fit(source, AutoModelForSequenceClassification, {"num_labels": self.logits}, is_head)
        check_length(network, "model.max_length", self.max_length, source.label)
