"""The keys of the dual encoder in the group ``model``, and how it is built from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from experiments.common.checks import at_least, one_of
from experiments.common.code_versions import PACKED, TEACHER, TEXTS, versions_of
from experiments.common.errors import ExperimentError
from experiments.config.job_overrides import check_job
from experiments.config.model import Model, TrainedRetriever
from experiments.config.values import check_path

if TYPE_CHECKING:
    from experiments.models.training_setup import TrainingInputs, TrainingSetup
    from experiments.pretrained.source import Source

# Cosines lie between -1 and 1, too close together for a softmax without a temperature.
TEMPERATURES = {"cosine": 0.05, "dot": 1.0}


@dataclass
class DualEncoderConfig(Model):
    """One vector per text, with layers copied from a cross-encoder (Ananthakrishnan et al. 2025, arXiv 2502.03552)."""

    name: str = "dual_encoder"
    layers: int | None = 2
    """Number of layers; null keeps the backbone's. The paper's DE-2 CE has two, for speed."""
    infused: list[int] = field(default_factory=lambda: [1])
    """Layers copied from the cross-encoder, counted from 1 as in ``hidden_states`` (1 is the paper's "layer 0"). A
    copied layer keeps its number. Later layers encode the comparison of the pair.
    """
    infuse_embeddings: bool = True
    """Copy the word, position and type embeddings too, as in the paper."""
    rest: str = "random"
    """Initial value of all other weights: ``random`` as in the paper, or the ``backbone``, which isolates the effect of
    infusing.
    """
    pooling: str = "mean"
    """Vector of a text: the ``mean`` over its tokens (special tokens included, as in sentence-transformers) or the
    first token (``cls``).
    """
    similarity: str = "cosine"
    """``cosine`` or ``dot``; the paper does not say which."""
    temperature: float | None = None
    """Divides similarities before the loss; null for 0.05 with cosine (scale 20 of sentence-transformers) and 1 with
    dot.
    """
    in_batch: bool = True
    """Use the other groups' passages as negatives too; cheap, as each text is encoded once."""
    cross_encoder: str | None = None
    """Folder or hub id; null for the model that ``job`` trains, or if none is needed."""
    job: Any = None
    """Overrides of a job that trains the cross-encoder first, on the same data."""
    distil: str = "none"
    """Learn the cross-encoder's scores too, by ``margin_mse`` or ``kl``; the paper appears to use ``none``."""
    distil_weight: float = 0.5
    """Share of that term in the loss, above 0 and at most 1; the rest is the contrastive loss."""
    distil_temperature: float = 1.0
    """Temperature of ``kl``: higher gives more weight to the order of unlikely passages."""
    align_layer: int | None = None
    """Pull each text's vector towards this layer of the cross-encoder, which reads the text paired with itself; null
    for none. A second-hand account of the paper mentions such a loss, without the layer.
    """
    align_weight: float = 1.0
    """Weight of that term, which lies between 0 and 2."""

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
        check_path("model.cross_encoder", self.cross_encoder)
        if self._needs_cross_encoder and self.cross_encoder is None and self.job is None:
            raise ExperimentError(
                f"model.cross_encoder is null, but {self._need()}: set model.cross_encoder to the folder model of a "
                f"finished cross-encoder job, or model.job to the overrides of one to be trained first; for a plain "
                f"dual encoder set model.infused=[] model.infuse_embeddings=false model.rest=backbone "
                f"model.distil=none model.align_layer=null"
            )

    @property
    def infuses(self) -> bool:
        """Whether weights of the cross-encoder are copied."""
        return bool(self.infused) or self.infuse_embeddings

    @property
    def learns_from_teacher(self) -> bool:
        return self.distil != "none" or self.align_layer is not None

    @property
    def scale(self) -> float:
        """The inverse of the temperature."""
        return 1.0 / (self.temperature if self.temperature is not None else TEMPERATURES[self.similarity])

    @property
    def _needs_cross_encoder(self) -> bool:
        return self.infuses or self.learns_from_teacher

    def _need(self) -> str:
        if self.infused:
            return f"infused={self.infused} copies layers from it"
        if self.infuse_embeddings:
            return "infuse_embeddings=true copies its embeddings"
        return f"distil={self.distil} learns from it" if self.distil != "none" else "align_layer is one of its layers"

    def labels(self) -> dict[str, Any]:
        copied = [*(["embeddings"] if self.infuse_embeddings else []), *map(str, self.infused)]
        distilled = [self.distil] if self.distil != "none" else []
        distilled += [f"layer {self.align_layer}"] if self.align_layer is not None else []
        return {
            **super().labels(),
            "layers": self.layers if self.layers is not None else "all",
            "infused": "+".join(copied) or "none",
            "rest": self.rest,
            "distilled": "+".join(distilled) or "none",
        }

    def prerequisites(self) -> dict[str, Any]:
        return {"job": self.job} if self._needs_cross_encoder and self.job and self.cross_encoder is None else {}

    def reads(self) -> dict[str, str]:
        return {} if self.cross_encoder is None else {"cross_encoder": self.cross_encoder}

    @property
    def second_stage(self) -> str | None:
        return self.cross_encoder

    def build(self, inputs: "TrainingInputs") -> "TrainingSetup":
        from functools import partial

        from experiments.models.dual_encoder.lightning_module import DualEncoder
        from experiments.models.dual_encoder.network import load_dual_encoder
        from experiments.models.packed_forward import choose_layout
        from experiments.models.teacher import distil_batcher, load_teacher
        from experiments.models.text_encoder import text_batches

        experiment = inputs.experiment
        network = load_dual_encoder(experiment.backbone, self, experiment.seed)
        transformer: Any = network[0]
        wanted, precision = experiment.compute.layout, inputs.precision
        layout = choose_layout(transformer.model, wanted, inputs.device, head=False, precision=precision)
        texts, scoring = text_batches(inputs, network, layout)
        teacher = batcher = None
        if self.learns_from_teacher:
            assert self.cross_encoder is not None  # __post_init__ checks it, and a prerequisite job trains it
            teacher = load_teacher(self.cross_encoder)
            score_tokens = inputs.tokens_per_batch("score", layout)
            batcher = distil_batcher(teacher, texts, inputs.collection, self, inputs.cache, score_tokens)
        make_module = partial(DualEncoder, network, settings=self, teacher=teacher, layout=layout)
        return inputs.setup(make_module, batcher or texts, scoring)

    def check_backbone(self, source: "Source") -> None:
        from functools import partial

        from transformers import AutoModel

        from experiments.models.backbone_check import check_fit
        from experiments.models.dual_encoder.network import may_be_random
        from experiments.models.text_encoder import check_reach

        depth = {"num_hidden_layers": self.layers} if self.layers is not None else {}
        check_reach(check_fit(source, AutoModel, depth, partial(may_be_random, self)), self, source.label)

    def as_retriever(self, folder: Path) -> TrainedRetriever:
        from experiments.retrieval.dense import Dense

        return Dense(checkpoint=str(folder), name=self.name)
