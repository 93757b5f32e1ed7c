"""ColBERT as a choice of the group ``model``: its keys, and how it is built from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from experiments.common.checks import at_least, one_of
from experiments.common.code_versions import TEXTS, versions_of
from experiments.common.errors import ExperimentError
from experiments.config.model import Model, TrainedRetriever

if TYPE_CHECKING:
    from experiments.models.training_setup import TrainingInputs, TrainingSetup
    from experiments.pretrained.source import Source


@dataclass
class ColBERTConfig(Model):
    """Late interaction: queries and passages are encoded apart, a vector a token (Khattab and Zaharia 2020)."""

    name: str = "colbert"
    dimension: int = 128
    """Of a token's embedding."""
    query_marker: str = "[unused0]"
    """The token after the first that says that a text is a query."""
    passage_marker: str = "[unused1]"
    """The same of a passage."""
    expand_queries: bool = False
    """Fill queries up to ``max_query_tokens`` with mask tokens that are matched too."""
    attend_to_expansion: bool = False
    """Let other tokens see those mask tokens."""
    skip_punctuation: bool = True
    """Match no punctuation of passages."""
    fresh_projection: str = "identity"
    """How the projection starts: as the ``identity`` (the first ``dimension`` coordinates) or ``random``."""
    in_batch: bool = True
    """Take the other groups' passages as negatives too."""
    scale: float = 1.0
    """What scores are multiplied with in the loss."""

    retrieves: ClassVar[bool] = True
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
        """Return the backbone with a projection of each token."""
        from experiments.models.colbert.lightning_module import ColBERT
        from experiments.models.colbert.network import load_colbert
        from experiments.models.text_encoder import text_batches

        experiment = inputs.experiment
        encoder = load_colbert(experiment.backbone, self, experiment.seed)
        batcher, scoring = text_batches(inputs, encoder, "padded")

        def make_module(steps: int) -> ColBERT:
            return ColBERT(
                encoder,
                inputs.loss,
                experiment.optimization,
                steps=steps,
                seed=experiment.seed,
                in_batch=self.in_batch,
                scale=self.scale,
                dev=inputs.dev,
            )

        return inputs.setup(make_module, batcher, scoring)

    def check_backbone(self, source: "Source") -> None:
        """Refuse a backbone that lacks weights or reads fewer tokens than a text may have."""
        from transformers import AutoModel

        from experiments.models.backbone_check import check_fit
        from experiments.models.text_encoder import check_reach
        from experiments.pretrained.weights import is_pooler

        check_reach(check_fit(source, AutoModel, {}, is_pooler), self, source.said)

    def as_retriever(self, folder: Path) -> TrainedRetriever:
        """Return the trained encoder as a retriever."""
        from experiments.retrieval.colbert import ColBERT

        return ColBERT(checkpoint=str(folder), name=self.name)
