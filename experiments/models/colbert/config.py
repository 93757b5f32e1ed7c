"""The keys of ColBERT in the group ``model``, and how it is built from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from experiments.common.checks import at_least, one_of
from experiments.common.code_versions import TEXTS, versions_of
from experiments.common.errors import ExperimentError
from experiments.config.model import Model, TrainedRetriever

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

    from experiments.models.training_setup import TrainingInputs, TrainingSetup
    from experiments.pretrained.source import Source


@dataclass
class ColBERTConfig(Model):
    """Late interaction: query and passage are encoded separately, one vector per token (Khattab and Zaharia 2020)."""

    name: str = "colbert"
    dimension: int = 128
    """Dimensions of a token vector."""
    query_marker: str = "[unused0]"
    """Token after the first that marks a text as a query."""
    passage_marker: str = "[unused1]"
    """Token after the first that marks a text as a passage."""
    expand_queries: bool = False
    """Fill queries up to ``max_query_tokens`` with mask tokens that are matched too."""
    attend_to_expansion: bool = False
    """Let other tokens attend to those mask tokens."""
    skip_punctuation: bool = True
    """Ignore punctuation of passages in the matching."""
    fresh_projection: str = "identity"
    """Initial projection: ``identity`` (the first ``dimension`` coordinates) or ``random``."""
    in_batch: bool = True
    """Use the other groups' passages as negatives too."""
    scale: float = 1.0
    """Factor on the scores in the loss."""

    retrieves: ClassVar[bool] = True
    goes_on: ClassVar[bool] = True
    packs: ClassVar[bool] = True
    code: ClassVar[Mapping[str, int]] = {
        **versions_of(*TEXTS),
        "models.colbert.lightning_module": 1,
        "models.colbert.network": 1,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("model.dimension", self.dimension, 1)
        one_of("model.fresh_projection", self.fresh_projection, ("identity", "random"))
        at_least("model.scale", self.scale, 0, strictly=True)
        for name in ("query_marker", "passage_marker"):
            value = getattr(self, name)
            if not value or value != value.strip():
                raise ExperimentError(f"model.{name} is {value!r}: it must be one token, such as [unused0]")
        if self.query_marker == self.passage_marker:
            raise ExperimentError(f"model: query_marker and passage_marker must differ, both are {self.query_marker!r}")

    def build(self, inputs: "TrainingInputs") -> "TrainingSetup":
        from functools import partial

        from experiments.models.backbone import start_of
        from experiments.models.colbert.lightning_module import ColBERT
        from experiments.models.colbert.network import load_colbert
        from experiments.models.text_encoder import text_batches

        encoder = load_colbert(start_of(inputs.experiment), self, inputs.experiment.seed)
        layout = self._pack(encoder, inputs)
        batcher, scoring = text_batches(inputs, encoder, layout)
        make_module = partial(ColBERT, encoder, in_batch=self.in_batch, scale=self.scale, layout=layout)
        return inputs.setup(make_module, batcher, scoring)

    def _pack(self, encoder: "MultiVectorEncoder", inputs: "TrainingInputs") -> str:
        """Return the layout of training. ``auto`` keeps it padded, as in finished jobs: packed, dropout draws other
        random numbers. Texts of dev queries, which have none, are packed on a CPU.

        Raises:
            ExperimentError: the layout is ``packed``, and the backbone cannot be; or ``compiled``.
        """
        from experiments.pretrained.packed_encoding import pack

        wanted = inputs.experiment.compute.layout
        if wanted == "compiled":
            raise ExperimentError("compute.layout=compiled compiles no ColBERT: set it to packed")
        if wanted == "auto" and inputs.device == "cpu":
            pack(encoder)
        if wanted != "packed":
            return "padded"
        if not pack(encoder, training=True):
            raise ExperimentError(
                f"{inputs.experiment.backbone.name!r} cannot be computed without padding: set compute.layout=padded "
                f"(or auto)"
            )
        return "packed"

    def check_start(self, source: "Source") -> None:
        from experiments.models.colbert.network import is_late_interaction

        if not is_late_interaction(source.place):
            raise ExperimentError(f"{source.label}: {source.place} is no late-interaction encoder: {source.fix}")

    def check_backbone(self, source: "Source") -> None:
        from transformers import AutoModel

        from experiments.models.backbone_check import check_fit
        from experiments.models.text_encoder import check_reach
        from experiments.pretrained.weights import is_pooler

        check_reach(check_fit(source, AutoModel, {}, is_pooler), self, source.label)

    def as_retriever(self, folder: Path) -> TrainedRetriever:
        from experiments.retrieval.colbert import ColBERT

        return ColBERT(checkpoint=str(folder), name=self.name)
