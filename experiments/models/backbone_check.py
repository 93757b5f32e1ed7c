"""What can be seen of pretrained models before anything runs: without their weights, in a fraction of a second each.

BM25 over a large collection takes minutes; a backbone that is not there, is incomplete or reads too few tokens is known
before.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedModel

from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.models.backbone import source_of
from experiments.models.pair_scorer import GIVE as SCORER
from experiments.models.teacher import GIVE
from experiments.pretrained.encoder import network_source
from experiments.pretrained.limits import check_vocabulary
from experiments.pretrained.source import Source
from experiments.pretrained.tokenizer import tokenizer_of
from experiments.pretrained.weights import (
    MayStartAnew,
    Report,
    is_head,
    is_pooler,
    matched,
    refuse_random,
    weight_files,
)

_passed: set[str] = set()  # a grid repeats its backbones: each is looked at once, and again when its files change


def check_backbone(experiment: Experiment) -> None:
    """Check an experiment's backbone, and the trained models that it learns from or filters by, without weights.

    Of a hub id only what is on this machine is looked at, and its config.json, which is small, is fetched.

    Raises:
        ExperimentError: one is not there, is none of the model's kind, lacks weights, or reads too few tokens; or a
        backbone's tokenizer has tokens that its embeddings lack.
    """
    model, source = experiment.model, source_of(experiment.backbone)
    loss, whole = experiment.loss, model.learns_from_teacher
    _once(source, repr(model), lambda: model.check_backbone(source))
    for key, place in model.reads().items():
        trained = Source(place, f"model.{key}", GIVE)
        _once(trained, f"read whole: {whole}", partial(_check_trained, trained, whole))
    if experiment.learns_from_teacher and loss["teacher"] is not None:
        teacher = Source(str(loss["teacher"]), "loss.teacher", GIVE)
        _once(teacher, "teacher", lambda: _check_trained(teacher, True))
    if experiment.negatives.filter.model is not None:
        Source(experiment.negatives.filter.model, "negatives.filter.scorer", SCORER).check_place()


def _once(source: Source, settings: str, check: Callable[[], None]) -> None:
    files = sorted(path for path in Path(source.place).glob("*") if path.is_file())
    seen = repr((source, settings, [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]))
    if seen not in _passed:
        check()
        _passed.add(seen)


def check_fit(source: Source, auto: Any, settings: dict[str, Any], may_start_anew: MayStartAnew) -> PreTrainedModel:
    """Return a backbone's network without its weights.

    ``auto``: transformers' class that makes it; ``settings``: of its config. ``may_start_anew``: which weights may be
    missing.

    Raises:
        ExperimentError: other weights are missing, or its tokenizer has tokens that its embeddings lack.
    """
    network, report = _skeleton(source, auto, settings)
    if report is not None:
        refuse_random(network, report, source, may_start_anew)
    check_vocabulary(network, tokenizer_of(source), source.said)
    return network


def _check_trained(source: Source, whole: bool) -> None:
    """A trained cross-encoder, with its head if it is read ``whole``."""
    network, report = _skeleton(source, AutoModelForSequenceClassification if whole else AutoModel, {})
    if report is None:
        return
    refuse_random(network, report, source, is_head if whole else is_pooler)
    if whole and report.missing:
        raise ExperimentError(
            f"{source.said}: {source.place} is no trained cross-encoder, it lacks weights such as {report.missing[0]}: "
            f"{source.fix}"
        )


def _skeleton(source: Source, auto: Any, settings: dict[str, Any]) -> tuple[PreTrainedModel, Report | None]:
    """A network of a source's architecture without its weights, and what loading them would report; None where they are
    not on this machine.
    """
    with source.reading():
        config = AutoConfig.from_pretrained(source.place, revision=source.revision, **settings)
        with torch.device("meta"):
            network: PreTrainedModel = auto.from_config(config)
    files = weight_files(network_source(source))
    if not files:
        return network, None
    return matched(type(network), config, files, source)
