"""Check pretrained models before a job starts, without their weights, in a fraction of a second each.

BM25 over a large collection takes minutes: a missing, incomplete or too short backbone is refused first.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedModel

from experiments.common.errors import ExperimentError
from experiments.common.model_files import check_folder, is_folder
from experiments.config import Experiment
from experiments.config.teacher_file import check_teacher_file
from experiments.models.backbone import source_of, start_of
from experiments.models.pair_scorer import FIX as SCORER_FIX
from experiments.models.teacher import FIX as TEACHER_FIX
from experiments.pretrained.encoder import network_source
from experiments.pretrained.limits import check_vocabulary
from experiments.pretrained.source import Source
from experiments.pretrained.tokenizer import tokenizer_of
from experiments.pretrained.weights import (
    MayBeRandom,
    Report,
    is_head,
    is_pooler,
    match_weights,
    refuse_random,
    refuse_untrained,
    weight_files,
)

OF_BACKBONE = ("model_type", "hidden_size", "num_hidden_layers")  # of a config: what a training leaves as it is

_passed: set[str] = set()  # a grid repeats its backbones: each is checked once, and again when its files change


def check_backbone(experiment: Experiment) -> None:
    """Check an experiment's backbone, teacher and filter models, without weights; of a teacher's file, that it exists.

    Of a hub id only local files are checked, and its small config.json is fetched.

    Raises:
        ExperimentError: a model is missing, is of the wrong kind, lacks weights, has too few positions, or lacks
        embeddings of tokens.
    """
    model, source = experiment.model, start_of(experiment)
    loss, whole = experiment.loss, model.learns_from_teacher
    if not model.trains:
        for key, place in model.reads().items():
            if is_folder(place):
                check_folder(place, f"model.{key}")
        return
    if experiment.init_from.path is not None:
        _once(source, repr((model, experiment.backbone)), lambda: _check_start(experiment, source))
    else:
        _once(source, repr(model), lambda: model.check_backbone(source))
    for key, place in model.reads().items():
        trained = Source(place, f"model.{key}", TEACHER_FIX)
        _once(trained, f"read whole: {whole}", partial(check_trained, trained, whole))
    if experiment.teaches_source:  # the retriever checks its file
        pass
    elif experiment.teacher_file is not None:
        check_teacher_file(str(loss["teacher"]))
    elif experiment.learns_from_teacher and loss["teacher"] is not None:
        teacher = Source(str(loss["teacher"]), "loss.teacher", TEACHER_FIX)
        _once(teacher, "teacher", lambda: check_trained(teacher, True))
    if experiment.negatives.filter.model is not None:
        Source(experiment.negatives.filter.model, "negatives.filter.scorer", SCORER_FIX).check_place()


def _once(source: Source, settings: str, check: Callable[[], None]) -> None:
    files = sorted(path for path in Path(source.place).glob("*") if path.is_file())
    key = repr((source, settings, [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]))
    if key not in _passed:
        check()
        _passed.add(key)


def check_fit(source: Source, auto: Any, settings: dict[str, Any], may_be_random: MayBeRandom) -> PreTrainedModel:
    """Return a backbone's network without its weights.

    ``auto``: transformers' Auto class. ``settings``: changes to its config. ``may_be_random``: which weights may be
    missing.

    Raises:
        ExperimentError: other weights are missing, or tokens have no embedding.
    """
    network, report = _skeleton(source, auto, settings)
    if report is not None:
        refuse_random(network, report, source, may_be_random)
    check_vocabulary(network, tokenizer_of(source), source.label)
    return network


def check_trained(source: Source, whole: bool) -> None:
    """Check a trained cross-encoder, with its head if it is read ``whole``."""
    network, report = _skeleton(source, AutoModelForSequenceClassification if whole else AutoModel, {})
    if report is None:
        return
    refuse_random(network, report, source, is_head if whole else is_pooler)
    if whole:
        refuse_untrained(report, source)


def _check_start(experiment: Experiment, source: Source) -> None:
    """Check a trained model that a training starts from: its kind, and that it has its backbone's size and tokens.

    Raises:
        ExperimentError: it is of another kind, or of another backbone than the experiment says.
    """
    experiment.model.check_start(source)
    name, backbone = experiment.backbone.name, source_of(experiment.backbone)
    with source.reading():
        theirs = AutoConfig.from_pretrained(source.place, trust_remote_code=False)
    with backbone.reading():
        ours = AutoConfig.from_pretrained(backbone.place, revision=backbone.revision, trust_remote_code=False)
    for key in OF_BACKBONE:
        actual, needed = getattr(theirs, key, None), getattr(ours, key, None)
        if actual != needed:
            raise ExperimentError(
                f"{source.label}: {source.place} has {key} {actual}, backbone {name!r} has {needed}: choose the "
                f"backbone that it was trained from"
            )
    # a late-interaction encoder may have added its markers
    if not tokenizer_of(source).get_vocab().items() >= tokenizer_of(backbone).get_vocab().items():
        raise ExperimentError(
            f"{source.label}: {source.place} has another vocabulary than backbone {name!r}: choose the backbone that "
            f"it was trained from"
        )


def _skeleton(source: Source, auto: Any, settings: dict[str, Any]) -> tuple[PreTrainedModel, Report | None]:
    """Return the network without weights, and the report of loading them; None where the files are not local."""
    with source.reading():
        config = AutoConfig.from_pretrained(source.place, revision=source.revision, trust_remote_code=False, **settings)
        with torch.device("meta"):
            network: PreTrainedModel = auto.from_config(config)
    files = weight_files(network_source(source))
    if not files:
        return network, None
    return match_weights(type(network), config, files, source)
