"""Tell which kind of model a folder holds, and load a trained cross-encoder and the prompt of its queries."""

import json
from collections.abc import Mapping
from pathlib import Path

from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from experiments.common.errors import ExperimentError
from experiments.models.lightning_ir import config_of_lightning_ir, load_mono
from experiments.pretrained.limits import check_vocabulary
from experiments.pretrained.padding import settle_padding
from experiments.pretrained.source import Source
from experiments.pretrained.tokenizer import tokenizer_of
from experiments.pretrained.weights import is_head, load_weights


def load_classifier(source: Source) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a sequence classifier of one or two logits in fp32, or a cross-encoder of lightning-ir, and its tokenizer.

    Raises:
        ExperimentError: it cannot be found, has no trained head, or has more than two logits.
    """
    of_lightning_ir = config_of_lightning_ir(source)
    network, tokenizer = _classifier(source) if of_lightning_ir is None else load_mono(source, of_lightning_ir)
    check_vocabulary(network, tokenizer, source.label)
    settle_padding(network, tokenizer, source.label)
    return network.eval(), tokenizer


def _classifier(source: Source) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    tokenizer = tokenizer_of(source)
    network, report = load_weights(AutoModelForSequenceClassification, source, may_be_random=is_head)
    if report.missing or report.mismatched:
        lacking = min([*report.missing, *report.mismatched])
        raise ExperimentError(
            f"{source.label}: {source.place} is no trained cross-encoder, it lacks weights such as {lacking}: "
            f"{source.fix}"
        )
    if network.config.num_labels not in (1, 2):
        raise ExperimentError(
            f"{source.label}: {source.place} has {network.config.num_labels} logits, not one or two: {source.fix}"
        )
    return network, tokenizer


def default_prompt(source: Source) -> str:
    """Return the text that sentence-transformers' ``CrossEncoder.predict`` writes before each query by default; empty
    for none.

    Raises:
        ExperimentError: the folder's default prompt is none of its prompts.
    """
    path = source.local_file("config_sentence_transformers.json")
    if path is None:
        return ""
    with source.reading():
        settings = json.loads(path.read_text(encoding="utf-8"))
    name, prompts = settings.get("default_prompt_name"), settings.get("prompts")
    if name is None:
        return ""
    if not isinstance(prompts, Mapping) or name not in prompts:
        known = ", ".join(map(str, prompts or ())) or "none"
        raise ExperimentError(f"{path}: default_prompt_name is {name!r}, which is none of its prompts ({known})")
    return str(prompts[name] or "")


def kind_of(source: Source) -> str:
    """Return the class of sentence-transformers that a folder is of, ``CrossEncoder`` where it names none.

    Raises:
        ExperimentError: it names another one.
    """
    folder = Path(source.place)
    if not (folder / "modules.json").is_file():
        return "CrossEncoder"
    config = folder / "config_sentence_transformers.json"
    with source.reading():
        settings = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    kind = str(settings.get("model_type", "SentenceTransformer"))
    kind = {"ColBERT": "MultiVectorEncoder"}.get(kind, kind)  # PyLate's name
    if kind not in ("CrossEncoder", "SentenceTransformer", "MultiVectorEncoder"):
        raise ExperimentError(f"{source.label}: {folder} holds a {kind}, which is not supported: {source.fix}")
    return kind
