"""Estimate what the jobs of a plan need on another machine: hours and memory of a named card, disk, downloads.

Hours follow from the floating-point operations of a job's training and scoring, at the full length of its texts, and
from the share of a card's peak that jobs reach: measured where jobs on that card have finished, else assumed. What is
done before (reading, BM25, encoding the passages) is in ``preparation``.
"""

import json
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.common.errors import ExperimentError
from experiments.common.text import duration, plural
from experiments.config import Backbone, Experiment, Model
from experiments.config.long_documents import LongDocuments
from experiments.job_files.checked_results import read_metrics
from experiments.job_files.files import METRICS
from experiments.models.memory_estimate import bytes_of_activations, bytes_of_states
from experiments.pretrained.token_budget import tokens_per_batch
from experiments.studies.cost_estimate import Cost

ASSUMED_SHARE = 0.35  # of the peak, of padded batches of unequal texts; finished jobs correct it
BYTES_OF_MODEL = 4  # fp32 weights, as they are exported
BYTES_OF_CHECKPOINT = 12  # weights and AdamW's two moments


@dataclass(frozen=True)
class Card:
    """A GPU. ``peak``: dense bf16 (V100, T4: fp16) operations a second by NVIDIA's data sheet. ``mark``: in its name,
    as the driver gives it.
    """

    peak: float
    memory_gb: int
    mark: str


CARDS = {
    "a10": Card(125e12, 24, "A10"),
    "a100": Card(312e12, 80, "A100"),
    "h100": Card(989e12, 80, "H100"),
    "h200": Card(989e12, 141, "H200"),
    "l4": Card(121e12, 24, "L4"),
    "l40s": Card(362e12, 48, "L40S"),
    "rtx4090": Card(165e12, 24, "RTX 4090"),
    "t4": Card(65e12, 16, "T4"),
    "v100": Card(125e12, 32, "V100"),
}


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoder. ``encoder``: weights that every token is multiplied with; ``embeddings``: looked up."""

    layers: int
    hidden: int
    encoder: int
    embeddings: int

    @property
    def weights(self) -> int:
        """All weights."""
        return self.encoder + self.embeddings

    def forward(self, length: int) -> float:
        """Return the operations of one text of ``length`` tokens, as ``models.compute_cost.CostModel`` counts them."""
        return 2.0 * self.encoder * length + 4.0 * self.layers * self.hidden * length * length


@dataclass(frozen=True)
class StepMemory:
    """Bytes of a training step on one card. ``states``: weights, gradients and AdamW's moments. ``activations``: what
    the forward pass keeps for the backward pass.
    """

    states: float
    activations: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.states + self.activations


@dataclass(frozen=True)
class Needs:
    """What one job needs. ``training``, ``scoring``: operations; None where something they follow from is not known.
    ``disk``: bytes of its models and checkpoints. ``download``: the hub id of its backbone and its bytes, if it is
    not at hand. ``memory``: of its training on the card; None where nothing is trained or no size is known.
    """

    training: float | None
    scoring: float | None
    disk: int | None
    download: tuple[str, int | None] | None
    memory: StepMemory | None = None


def card_of(name: str) -> Card:
    """Return a card by its name. Raises ExperimentError for another one."""
    if name not in CARDS:
        raise ExperimentError(f"device={name}: study plan knows the peak of {', '.join(CARDS)}")
    return CARDS[name]


def shape_of(backbone: Backbone) -> Shape | None:
    """Return the sizes of a backbone from its config, or from its files at hand; None if neither has them."""
    if backbone.shape is not None:
        return Shape(**backbone.shape)
    return shape_in(_folder_of(backbone))


def shape_in(folder: Path) -> Shape | None:
    """Return the sizes of the encoder in a folder; None if there is none."""
    return _measured(folder) if _has_model(folder) else None


def _has_model(folder: Path) -> bool:
    return (folder / "config.json").is_file() and (folder / "model.safetensors").is_file()


def _folder_of(backbone: Backbone) -> Path:
    from experiments.models.backbone import locate

    return Path(locate(backbone))


def _measured(folder: Path) -> Shape:
    from safetensors import safe_open

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    encoder = embeddings = 0
    with safe_open(folder / "model.safetensors", framework="numpy") as file:
        for name in file.keys():  # noqa: SIM118  # no mapping
            count = 1
            for size in file.get_slice(name).get_shape():
                count *= size
            if "embeddings." in name and name.endswith("embeddings.weight"):
                embeddings += count
            else:
                encoder += count
    return Shape(int(config["num_hidden_layers"]), int(config["hidden_size"]), encoder, embeddings)


def needs_of(experiment: Experiment, cost: Cost) -> Needs:
    """Return what a job needs, from its config and its cost, at the full length of its texts and with the most windows
    of each passage.
    """
    shape, model = shape_of(experiment.backbone), experiment.model
    backbone = experiment.backbone
    at_hub = backbone.package is None and not _has_model(_folder_of(backbone))
    bytes_of_weights = None if shape is None else BYTES_OF_MODEL * shape.weights
    download = (str(backbone.path), bytes_of_weights) if at_hub and model.trains else None
    if shape is None or not model.trains:
        return Needs(None if model.trains else 0.0, None, None if model.trains else 0, download)
    one = shape.forward(model.max_length)
    recomputed = experiment.batch.checkpoint
    pairs = cost.tokens / model.max_length if cost.pairs is None and cost.tokens is not None else cost.pairs
    training = None if pairs is None else pairs * one * (4.0 if recomputed else 3.0)
    scoring = None if cost.scored is None else cost.scored * _windows(model) * one
    disk = (BYTES_OF_MODEL + BYTES_OF_CHECKPOINT) * shape.weights
    return Needs(training, scoring, disk, download, step_memory(experiment, shape))


def step_memory(experiment: Experiment, shape: Shape) -> StepMemory:
    """Estimate the memory of a training step on a GPU, with all texts at full length."""
    wanted = experiment.trainer.precision
    precision = "bf16-mixed" if wanted == "auto" else wanted  # as models.training_setup has it on a GPU
    states = bytes_of_states(shape.encoder, shape.embeddings, precision)
    return StepMemory(states, bytes_of_activations(shape.layers, shape.hidden, kept_tokens(experiment), precision))


def kept_tokens(experiment: Experiment) -> int:
    """Return the tokens whose activations a device keeps at a time: a whole step's, since its forward passes are one
    graph, or with ``batch.checkpoint`` those of one forward pass.
    """
    model, passages = experiment.model, experiment.negatives.count + 1
    group = passages * model.max_length + (model.max_query_tokens if model.retrieves else 0)
    step = -(-experiment.batch.queries(experiment.negatives.count) // experiment.trainer.devices) * group
    if not experiment.batch.checkpoint:
        return step
    one_pass = experiment.compute.tokens_per_batch.train or tokens_per_batch("train", "gpu")
    return min(step, max(one_pass, model.max_length))


def _windows(model: Model) -> int:
    """Return the windows in which a model scores a passage at most."""
    windows = model.windows if isinstance(model, LongDocuments) else None
    return 1 if windows is None else windows.most


def share_of_peak(outputs: Path, card: Card) -> tuple[float, int]:
    """Return the share of a card's peak that finished jobs below ``outputs`` reached in training, and their number;
    ``ASSUMED_SHARE`` and 0 without any.
    """
    shares = []
    for path in sorted(outputs.glob(f"*/*/{METRICS}")):
        try:
            compute = read_metrics(path.parent)["compute"]
            if re.search(rf"\b{card.mark}\b", compute["machine"]):
                shares.append(compute["flops"] / compute["train_seconds"] / card.peak)
        except (ExperimentError, KeyError, TypeError, ZeroDivisionError):
            continue  # of another version, or partly deleted
    return (statistics.median(shares), len(shares)) if shares else (ASSUMED_SHARE, 0)


def lines_of(needs: Sequence[Needs], device: str, share: tuple[float, int], catalogue: Mapping[str, int]) -> list[str]:
    """Return lines on hours, disk and downloads of the jobs that are left. ``catalogue``: name of a data set that may
    have to be fetched -> its number of passages.
    """
    card, (reached, jobs) = card_of(device), share
    basis = f"as {plural(jobs, 'finished job')} on it reached" if jobs else "assumed, until a job on it has finished"
    rate = card.peak * reached
    lines = [
        f"on one {device} ({card.peak / 1e12:,.0f} TFLOPS at its peak, {reached:.0%} of it {basis}), texts at full "
        f"length: {_hours([one.training for one in needs], rate)} of training, "
        f"{_hours([one.scoring for one in needs], rate)} of scoring, one job after the other"
    ]
    known = [one.disk for one in needs if one.disk is not None]
    lines.append(f"disk: {gb(sum(known))} of models and checkpoints{_unknown(len(needs) - len(known))}")
    downloads = dict(one.download for one in needs if one.download is not None)
    if downloads:
        parts = [f"{name} ({gb(size) if size else 'size not known'})" for name, size in downloads.items()]
        lines.append(f"downloads: {', '.join(parts)}")
    if catalogue:
        sets = ", ".join(f"{name} ({count:,} passages)" for name, count in catalogue.items())
        lines.append(f"data that ir_datasets fetches if it is not there: {sets}")
    return lines


def _hours(operations: Iterable[float | None], rate: float) -> str:
    values = list(operations)
    known = [value for value in values if value is not None]
    if values and not known:
        return "an unknown time"
    return f"{duration(sum(known) / rate)}{_unknown(len(values) - len(known))}"


def _unknown(jobs: int) -> str:
    return f" (and {plural(jobs, 'job')} of which it is not known)" if jobs else ""


def gb(size: float) -> str:
    """Return bytes as text in GB."""
    return f"{size / 1e9:,.1f} GB"
