"""Load weights completely or refuse them: only a head may be random, and a warning says so.

transformers itself draws missing weights at random with only a line in its log: a file whose names carry a wrapper's
prefix would train from random weights.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from experiments.common.errors import ExperimentError
from experiments.pretrained.products import multiply_fast
from experiments.pretrained.source import Source

log = logging.getLogger(__name__)

MayBeRandom = Callable[[PreTrainedModel, str], bool]  # (network, name of a weight) -> whether it may be missing

# Pretraining heads, which a ranker does not use.
PRETRAINING_HEADS = (
    "cls.", "lm_head.", "lm_loss.", "head.", "decoder.", "predictions.", "sop_classifier.", "vocab_",
    "mask_predictions.", "lm_predictions.", "discriminator_predictions.", "generator_predictions.",
    "generator_lm_head.", "pooler.",
)  # fmt: skip


@dataclass(frozen=True)
class Report:
    """The result of matching files with a network.

    ``missing``: weights of the network that the files lack. ``unused``: names in the files without a weight in the
    network. ``mismatched``: name -> (shape in the files, shape in the network).
    """

    missing: tuple[str, ...]
    unused: tuple[str, ...]
    mismatched: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> "Report":
        """Convert transformers' ``output_loading_info``."""
        shapes = {name: (tuple(theirs), tuple(ours)) for name, theirs, ours in sorted(info["mismatched_keys"])}
        return cls(tuple(sorted(info["missing_keys"])), tuple(sorted(info["unexpected_keys"])), shapes)


def load_weights(
    auto: Any, source: Source, *, config: Any = None, may_be_random: MayBeRandom, **arguments: Any
) -> tuple[PreTrainedModel, Report]:
    """Load a network with fp32 weights by one of transformers' Auto classes, or a class of its own.

    ``config``: None for the source's own. ``may_be_random``: whether a weight, by its name, may be missing.
    ``arguments``: of the network's class. PyTorch files are read as weights alone, without running code in them.

    Raises:
        ExperimentError: the files cannot be read, lack a weight, or have it in another shape.
    """
    with source.reading():
        network, info = auto.from_pretrained(
            source.place,
            revision=source.revision,
            **({} if config is None else {"config": config}),
            dtype=torch.float32,
            weights_only=True,
            trust_remote_code=False,  # else transformers asks on the terminal whether to run the source's own code
            ignore_mismatched_sizes=True,  # else a traceback; see refuse_random
            output_loading_info=True,
            **arguments,
        )
    report = Report.of(info)
    refuse_random(network, report, source, may_be_random)
    warn_of_new_weights(network, report, source)
    multiply_fast(network)
    return network, report


def check_weights(
    network: PreTrainedModel, source: Source, may_be_random: MayBeRandom, *, fewer_layers: bool = False
) -> None:
    """Compare the names and shapes in a source's files with a network's, as transformers would match them.

    No weight is read; zeros without memory are matched. Does nothing if the files are not local or are adapters.
    ``fewer_layers``: do not warn that the files have more layers than the network.

    Raises:
        ExperimentError: as ``load_weights``.
    """
    files = weight_files(source)
    if files:
        skeleton, report = match_weights(type(network), network.config, files, source)
        refuse_random(skeleton, report, source, may_be_random)
        warn_of_new_weights(skeleton, report, source, fewer_layers)


def match_weights(kind: Any, config: Any, files: list[Path], source: Source) -> tuple[PreTrainedModel, Report]:
    """Return a network of class ``kind`` with meaningless weights, and the report of loading the files into it."""
    with source.reading(), torch.random.fork_rng(devices=[]):
        zeros = {name: torch.zeros(()).expand(shape) for file in files for name, shape in _shapes(file).items()}
        network, info = kind.from_pretrained(
            None,
            config=config,
            state_dict=zeros,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    return network, Report.of(info)


def weight_files(source: Source) -> list[Path]:
    """Return the local files of a source's weights; none for adapters."""
    if source.local_file("adapter_config.json") is not None:
        return []
    for name in ("model.safetensors", "pytorch_model.bin"):
        whole, index = source.local_file(name), source.local_file(f"{name}.index.json")
        if whole is not None:
            return [whole]
        if index is not None:
            import json

            with source.reading():
                shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            return [path for path in map(source.local_file, sorted(shards)) if path is not None]
    return []


def _shapes(file: Path) -> dict[str, list[int]]:
    """Read name -> shape of the tensors from a file's header."""
    if file.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(file, framework="pt") as tensors:
            return {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118
    weights = torch.load(file, map_location="meta", weights_only=True)
    return {name: list(weight.shape) for name, weight in weights.items()}


def is_head(network: PreTrainedModel, name: str) -> bool:
    """Whether a weight is outside the encoder, or in its pooler."""
    outside = network.base_model is not network and not name.startswith(f"{network.base_model_prefix}.")
    return outside or is_pooler(network, name)


def is_pooler(network: PreTrainedModel, name: str) -> bool:
    """Whether a weight is in a pooler, which reads the first token for a head."""
    return "pooler" in name.split(".")


def refuse_random(network: PreTrainedModel, report: Report, source: Source, may_be_random: MayBeRandom) -> None:
    """Raise ExperimentError if a weight that must not be random is missing, or has another shape in the files."""
    kind = type(network).__name__
    wrong = [name for name in report.mismatched if not may_be_random(network, name)]
    if wrong:
        theirs, ours = report.mismatched[wrong[0]]
        raise ExperimentError(
            f"{source.label}: {source.place} has {wrong[0]} of shape {list(theirs)}, but its config.json makes a "
            f"{kind} that needs {list(ours)}: {source.fix}"
        )
    missing = [name for name in report.missing if not may_be_random(network, name)]
    if missing:
        raise ExperimentError(
            f"{source.label}: {source.place} lacks {len(missing)} weights of its {kind}, such as {_some(missing)}, "
            f"which would be random. {_way_out(network, missing, report.unused, source)}"
        )


def refuse_untrained(report: Report, source: Source) -> None:
    """Raise ExperimentError if a sequence classifier that should be trained has no head in its files."""
    if report.missing:
        raise ExperimentError(
            f"{source.label}: {source.place} is no trained cross-encoder, it lacks weights such as "
            f"{report.missing[0]}: {source.fix}"
        )


def warn_of_new_weights(network: PreTrainedModel, report: Report, source: Source, fewer_layers: bool = False) -> None:
    """Warn of a head in the files that is replaced by a random one, and of unused layers."""
    if report.mismatched:
        theirs, ours = next(iter(report.mismatched.values()))
        log.warning(
            "%s has a head of %d outputs, and this model one of %d: the head (%s) starts at random",
            source.label, theirs[0], ours[0], _some(report.mismatched),
        )  # fmt: skip
    left = [name for name in report.unused if not name.startswith(PRETRAINING_HEADS)]
    # names that differ from a weight of the network only in a layer's number
    known, prefix = {re.sub(r"\d+", "#", name) for name in network.state_dict()}, f"{network.base_model_prefix}."
    layers = {name for name in left if {pattern := re.sub(r"\d+", "#", name), prefix + pattern} & known}
    if layers and not fewer_layers:
        log.warning("%s: %s has more layers than its config.json says; they are not used", source.label, source.place)
    others = [name for name in left if name not in layers]
    if others and report.missing:
        log.warning(
            "%s: a %s has no place for some weights of %s (%s); %s start at random",
            source.label, type(network).__name__, source.place, _some(others), _some(report.missing),
        )  # fmt: skip


def _some(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:3])


def _way_out(network: PreTrainedModel, missing: list[str], unused: tuple[str, ...], source: Source) -> str:
    """Return the command that renames weights under a prefix, else the likely cause."""
    prefix = common_prefix([name.removeprefix(f"{network.base_model_prefix}.") for name in missing], unused)
    if prefix is None:
        depth = getattr(network.config, "num_hidden_layers", None)
        return f"Give a complete checkpoint; its config.json says num_hidden_layers={depth}: {source.fix}"
    file = next((path for path in weight_files(source) if path.suffix == ".safetensors"), None)
    if file is None:
        return f"They are there under names that begin with {prefix!r}: rename them: {source.fix}"
    return (
        f'They are there under names that begin with {prefix!r}: rename them with: python -c "from safetensors.torch '
        f"import load_file, save_file; f = '{file}'; save_file({{n.removeprefix('{prefix}'): w.clone() for n, w in "
        f"load_file(f).items()}}, f, metadata={{'format': 'pt'}})\""
    )


def common_prefix(missing: list[str], unused: Iterable[str]) -> str | None:
    """Return the prefix under which all missing names are among the unused; None if there is none."""
    there = set(unused)
    candidates = {name[: -len(missing[0])] for name in there if name.endswith(f".{missing[0]}")}
    fitting = [prefix for prefix in sorted(candidates) if all(prefix + name in there for name in missing)]
    return fitting[0] if fitting else None
