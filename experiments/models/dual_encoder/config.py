"""The dual encoder as a choice of the group ``model``: its keys, and how it is built from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from experiments.common.checks import at_least, one_of
from experiments.common.code_versions import PACKED, TEACHER, TEXTS, versions_of
from experiments.common.errors import ExperimentError
from experiments.config.job_overrides import check_job
from experiments.config.model import Model, TrainedRetriever

if TYPE_CHECKING:
    from experiments.models.training_setup import TrainingInputs, TrainingSetup
    from experiments.pretrained.source import Source

TEMPERATURES = {"cosine": 0.05, "dot": 1.0}  # cosines lie within 1 of each other, too close for a softmax as they are


@dataclass
class DualEncoderConfig(Model):
    """One vector a text, infused with layers of a cross-encoder (Ananthakrishnan et al. 2025, arXiv 2502.03552)."""

    name: str = "dual_encoder"
    layers: int | None = 2
    """How many; null for as many as the backbone has. Two, as DE-2 CE has, give the speed."""
    infused: list[int] = field(default_factory=lambda: [1])
    """Numbers of the layers copied from the cross-encoder, counted from 1 as ``hidden_states`` are, so that 1 is the
    paper's "layer 0"; a layer keeps its number. Later ones encode the comparison of a pair.
    """
    infuse_embeddings: bool = True
    """Copy its word, position and type embeddings too, as in the paper."""
    rest: str = "random"
    """What all else starts from: ``random`` weights as in the paper, or the ``backbone``, which tells apart what
    infusing adds.
    """
    pooling: str = "mean"
    """A text's vector: the ``mean`` of its token states, special tokens included as in sentence-transformers, or the
    first token's (``cls``).
    """
    similarity: str = "cosine"
    """Of two vectors: ``cosine`` or ``dot``; the paper does not say."""
    temperature: float | None = None
    """What similarities are divided by before the loss; null for .05 with cosine (the scale of 20 of
    sentence-transformers) and 1 with dot.
    """
    in_batch: bool = True
    """Take the other groups' passages as negatives too, which is cheap: each text is encoded once."""
    cross_encoder: str | None = None
    """A folder or hub id; null for the one that ``job`` trains, or if nothing is infused or learnt from one."""
    job: Any = None
    """Overrides of a job that trains the cross-encoder first, on the same data."""
    distil: str = "none"
    """Learn the cross-encoder's scores too, by ``margin_mse`` or ``kl``; ``none``, as far as is known, in the paper."""
    distil_weight: float = 0.5
    """Share of that term in the loss, above 0 and at most 1; the rest is the contrast."""
    distil_temperature: float = 1.0
    """Of ``kl``: a higher one lets the order of unlikely passages count."""
    align_layer: int | None = None
    """Draw each text's vector to that of this layer of the cross-encoder, which reads the text paired with itself; null
    for none. One second-hand account of the paper has such a loss, without its layer.
    """
    align_weight: float = 1.0
    """Of that term, which lies between 0 and 2."""

    packs: ClassVar[bool] = True
    retrieves: ClassVar[bool] = True
    instead_of_teacher: ClassVar[str] = " and model.distil=margin_mse or kl"
    trained_by: ClassVar[Mapping[str, str]] = {"job": "cross_encoder"}
    code: ClassVar[Mapping[str, int]] = {
        **versions_of(*TEXTS, *TEACHER, *PACKED),
        "models.dual_encoder.lightning_module": 1,
        "models.dual_encoder.network": 1,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("model.layers", self.layers, 1)
        for layer in self.infused:
            at_least("model.infused", layer, 1)
            if self.layers is not None and layer > self.layers:
                raise ExperimentError(f"model.infused has layer {layer}, but model.layers is {self.layers}")
        if len(set(self.infused)) != len(self.infused):
            raise ExperimentError(f"model.infused names a layer twice: {self.infused}")
        one_of("model.rest", self.rest, ("random", "backbone"))
        one_of("model.pooling", self.pooling, ("mean", "cls"))
        one_of("model.similarity", self.similarity, tuple(TEMPERATURES))
        at_least("model.temperature", self.temperature, 0, strictly=True)
        one_of("model.distil", self.distil, ("none", "margin_mse", "kl"))
        at_least("model.distil_weight", self.distil_weight, 0, strictly=True)
        if self.distil_weight > 1:
            raise ExperimentError(f"model.distil_weight is {self.distil_weight}: it must be above 0 and at most 1")
        at_least("model.distil_temperature", self.distil_temperature, 0, strictly=True)
        at_least("model.align_layer", self.align_layer, 0)
        at_least("model.align_weight", self.align_weight, 0, strictly=True)
        check_job("model.job", self.job)
        self._check_cross_encoder()

    @property
    def infuses(self) -> bool:
        """Whether weights of the cross-encoder are copied."""
        return bool(self.infused) or self.infuse_embeddings

    @property
    def learns_from_teacher(self) -> bool:
        """Whether the cross-encoder is read during training."""
        return self.distil != "none" or self.align_layer is not None

    @property
    def scale(self) -> float:
        """What similarities are multiplied with before the loss: the inverse of the temperature."""
        return 1.0 / (self.temperature if self.temperature is not None else TEMPERATURES[self.similarity])

    def _check_cross_encoder(self) -> None:
        """Raise ExperimentError unless there is a cross-encoder where one is needed."""
        if (self.infuses or self.learns_from_teacher) and self.cross_encoder is None and self.job is None:
            raise ExperimentError(
                f"model.cross_encoder is null, but {self._need()}: set model.cross_encoder to the folder model of a "
                f"finished cross-encoder job, or model.job to the overrides of one to be trained first; for a plain "
                f"dual encoder set model.infused=[] model.infuse_embeddings=false model.rest=backbone "
                f"model.distil=none model.align_layer=null"
            )

    def _need(self) -> str:
        if self.infused:
            return f"infused={self.infused} copies layers from it"
        if self.infuse_embeddings:
            return "infuse_embeddings=true copies its embeddings"
        return f"distil={self.distil} learns from it" if self.distil != "none" else "align_layer is one of its layers"

    def labels(self) -> dict[str, Any]:
        """Return what it starts from, and what it learns from."""
        copied = [*(["embeddings"] if self.infuse_embeddings else []), *map(str, self.infused)]
        learnt = [self.distil] if self.distil != "none" else []
        learnt += [f"layer {self.align_layer}"] if self.align_layer is not None else []
        return {
            **super().labels(),
            "layers": self.layers if self.layers is not None else "all",
            "infused": "+".join(copied) or "none",
            "rest": self.rest,
            "distilled": "+".join(learnt) or "none",
        }

    def prerequisites(self) -> dict[str, Any]:
        """Return the job that trains the cross-encoder, if one is needed and none is given."""
        wanted = self.infuses or self.learns_from_teacher
        return {"job": self.job} if wanted and self.job and self.cross_encoder is None else {}

    def reads(self) -> dict[str, str]:
        """Return the cross-encoder, if one is given."""
        return {} if self.cross_encoder is None else {"cross_encoder": self.cross_encoder}

    @property
    def second_stage(self) -> str | None:
        """The cross-encoder that it was made from."""
        return self.cross_encoder

    def build(self, inputs: "TrainingInputs") -> "TrainingSetup":
        """Return the infused encoder, and the cross-encoder that it learns from."""
        from experiments.data.batches.groups import Batcher
        from experiments.models.dual_encoder.lightning_module import DualEncoder
        from experiments.models.dual_encoder.network import load_dual_encoder
        from experiments.models.packed_forward import choose_layout
        from experiments.models.teacher import distil_batcher, load_teacher
        from experiments.models.text_encoder import text_batches

        experiment = inputs.experiment
        network = load_dual_encoder(experiment.backbone, self, experiment.seed)
        transformer: Any = network[0]
        layout = choose_layout(transformer.model, experiment.compute.layout, inputs.device, head=False)
        texts, scoring = text_batches(inputs, network, layout)
        batcher: Batcher = texts
        teacher = None
        if self.learns_from_teacher:
            assert self.cross_encoder is not None  # checked, and a job that trains it was run before
            teacher = load_teacher(self.cross_encoder)
            score_tokens = inputs.tokens_per_batch("score", layout)
            batcher = distil_batcher(teacher, texts, inputs.collection, self, inputs.cache, score_tokens)

        def make_module(steps: int) -> DualEncoder:
            return DualEncoder(
                network,
                inputs.loss,
                experiment.optimization,
                steps=steps,
                seed=experiment.seed,
                settings=self,
                teacher=teacher,
                layout=layout,
                dev=inputs.dev,
            )

        return inputs.setup(make_module, batcher, scoring)

    def check_backbone(self, source: "Source") -> None:
        """Refuse a backbone that lacks weights that are kept, or reads fewer tokens than a text may have."""
        from functools import partial

        from transformers import AutoModel

        from experiments.models.backbone_check import check_fit
        from experiments.models.dual_encoder.network import may_start_anew
        from experiments.models.text_encoder import check_reach

        depth = {"num_hidden_layers": self.layers} if self.layers is not None else {}
        check_reach(check_fit(source, AutoModel, depth, partial(may_start_anew, self)), self, source.said)

    def as_retriever(self, folder: Path) -> TrainedRetriever:
        """Return the trained encoder as a retriever."""
        from experiments.retrieval.dense import Dense

        return Dense(checkpoint=str(folder), name=self.name)
