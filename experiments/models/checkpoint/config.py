"""The keys of a trained model in the group ``model``, which is measured and not trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from experiments.common.code_versions import versions_of
from experiments.common.errors import ExperimentError
from experiments.common.model_files import model_in, name_of
from experiments.config.job_overrides import check_job
from experiments.config.long_documents import LongDocuments
from experiments.config.model import Model
from experiments.config.values import check_path

if TYPE_CHECKING:
    from experiments.models.training_setup import TrainingInputs, TrainingSetup
    from experiments.pretrained.source import Source


KEY = "model.path"


@dataclass
class CheckpointConfig(Model, LongDocuments):
    """A trained re-ranker, measured as it is: nothing is trained, drawn or chosen on dev."""

    name: str = "checkpoint"
    path: str | None = None
    """A folder or hub id: a sequence classifier of one or two logits, a CrossEncoder, SentenceTransformer or
    MultiVectorEncoder of sentence-transformers, a cross-encoder of lightning-ir, or the folder of a finished job or its
    ``model``; null for the model that ``job`` trains."""
    job: Any = None
    """Overrides of a job that trains the model first, on the same data."""
    label: str | None = None
    """Name in tables; null for the last part of ``path``, or the job's name."""
    max_length: int = 512
    """Tokens of a pair, special tokens included, where the model's own config names no limit."""
    max_query_tokens: int = 64
    """Tokens of a query, where the model's own config names no limit."""
    document: str | None = field(default=None, metadata={"absent_at": None})
    """How a cross-encoder scores a passage that does not fit: ``first_p`` or ``max_p``; null for what its own config
    says, as exports of this project do, else ``first_p``."""

    trains: ClassVar[bool] = False
    rounds: ClassVar[bool] = True
    trained_by: ClassVar[Mapping[str, str]] = {"job": "path"}
    code: ClassVar[Mapping[str, int]] = versions_of(
        *("data.batches.pairs", "models.packed_forward", "models.pair_scorer", "models.trained_pairs"),
        "pretrained.encoder",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_document(may_be_null=True)
        check_job("model.job", self.job)
        if self.path is None and self.job is None:
            raise ExperimentError(
                "model.path is null: set it to the folder or hub id of a trained model, or model.job to the overrides "
                "of a job that trains one first"
            )
        check_path("model.path", self.path)
        self.path = model_in(self.path) if self.path is not None else None

    def labels(self) -> dict[str, Any]:
        return {"checkpoint": self.label or name_of(self.path or KEY), **self.document_label()}

    def prerequisites(self) -> dict[str, Any]:
        return {"job": self.job} if self.path is None else {}

    def reads(self) -> dict[str, str]:
        return {"path": self.path} if self.path is not None else {}

    def build(self, inputs: "TrainingInputs") -> "TrainingSetup":
        self._refuse_training()

    def check_backbone(self, source: "Source") -> None:
        """Accept any backbone: none is read."""

    def _refuse_training(self) -> NoReturn:
        raise ExperimentError(f"model={self.name} is measured as it is: a training needs another model")
