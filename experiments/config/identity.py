"""Identify the job of a config: two configs are one job if they differ only in incidental settings."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, get_type_hints

from experiments.common.cache import fingerprint
from experiments.common.model_files import name_of, resolved
from experiments.config.compute import INT8
from experiments.config.depths import KEY as DEPTH
from experiments.config.depths import depths_of
from experiments.config.experiment import Experiment
from experiments.config.init_from import stage_before
from experiments.config.job_overrides import overrides_of
from experiments.config.model import class_of, prefix_of, trains
from experiments.config.negatives import RUN_SCORES, sources_of
from experiments.config.retriever_references import references
from experiments.config.teacher_file import is_default
from experiments.data.splits import TRAIN
from experiments.evaluation.measure_names import min_grade_in, resolve

VERSION = 4  # raised when the meaning of a config changes, so that old jobs do not count as new ones

PLACES = ("path", "checkpoint", "scorer", "teacher", "cross_encoder")  # keys of local paths or hub ids
OF_FIRST_STAGES = ("data", "first_stage", DEPTH, "measures", "retrievers")  # decide what is retrieved
OF_EVALUATION = (*OF_FIRST_STAGES, "first_stage_inject_gold", "model")  # decide what a model that is not trained scores
RETRIEVED = "retrieve-"  # begins the name of such a folder
INCIDENTAL_OF_RETRIEVER = ("device", "tokens_per_batch")  # retrievers are no dataclasses, whose fields could be marked


def deciding(settings: Mapping[str, Any], schema: type, mark: str = "identity") -> dict[str, Any]:
    """Return the settings that decide results.

    Field metadata excludes the others: ``{"identity": False}`` the field, ``{"incidental": (...)}`` keys of its value,
    ``{"absent_at": value}`` the field at that value, for a key that is younger than the jobs without it. The fields of
    the class that a model's ``_target_`` names are marked in the same way (``{"by_target": True}``).
    """
    marks: dict[str, Mapping[str, Any]] = {field.name: field.metadata for field in fields(schema)}
    types = _types_of(schema)
    kept: dict[str, Any] = {}
    for key, value in settings.items():
        metadata, kind = marks.get(key, {}), types.get(key)
        if metadata.get("by_target") and isinstance(value, Mapping):
            kind = class_of(value.get("_target_"))
        if not metadata.get(mark, True) or ("absent_at" in metadata and value == metadata["absent_at"]):
            continue
        if isinstance(value, Mapping) and "incidental" in metadata:
            kept[key] = {name: inner for name, inner in value.items() if name not in metadata["incidental"]}
        elif isinstance(value, Mapping) and isinstance(kind, type) and is_dataclass(kind):
            kept[key] = deciding(value, kind, mark)
        else:
            kept[key] = value
    return kept


@lru_cache(maxsize=256)  # a quarter of the time of a job's hash
def _types_of(schema: type) -> Mapping[str, Any]:
    return get_type_hints(schema)


def scientific(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved config that decides the outcome of a job, with absolute local paths.

    Retrievers without a role are left out, and for a model that is not trained all settings of a training. The job's
    inputs cover the content of local paths.
    """
    kept = deciding(deciding(located(config), Experiment), Experiment, "training")
    kept["callbacks"] = {name: part for name, part in kept.get("callbacks", {}).items() if part is not None}
    min_grade = min_grade_in(config)
    if "measures" in kept:  # by their names in the results: the grade counts, the spelling does not
        kept["measures"] = resolve(kept["measures"], min_grade)
    if kept.get("probe", {}).get("layers") is None:
        kept.pop("probe", None)
    elif "measures" in kept["probe"]:
        kept["probe"] = {**kept["probe"], "measures": resolve(kept["probe"]["measures"], min_grade, "probe.measures")}
    if isinstance(depths := kept.get(DEPTH), list) and len(depths) == 1:
        kept[DEPTH] = depths[0]  # the same job as with the number itself
    if is_default(kept.get("loss")):  # as jobs were called before teachers could be files
        kept["loss"] = {key: value for key, value in kept["loss"].items() if key != "teacher_file"}
    roles = roles_of(config)
    named = with_their_candidates(roles, config["retrievers"])
    kept["retrievers"] = {
        name: {key: value for key, value in settings.items() if key not in INCIDENTAL_OF_RETRIEVER}
        for name, settings in kept["retrievers"].items()
        if name in named
    }
    if not trains(config["model"]):
        rounded = kept.get("trainer", {}).get("precision") == INT8
        kept = {key: value for key, value in kept.items() if key in OF_EVALUATION}
        kept |= {"trainer": {"precision": INT8}} if rounded else {}
    return kept


def roles_of(config: Mapping[str, Any]) -> list[str]:
    """Return the retrievers of a resolved config that have a role: a model that is not trained needs no negatives."""
    sources = sources_of(config["negatives"]["source"]) if trains(config["model"]) else ()
    return [*sources, *config["first_stage"]]


def located(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resolved config with absolute local paths; hub ids, and missing paths that may be hub ids, stay."""
    return {key: _located(str(key), value) for key, value in config.items()}


def _located(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return located(value)
    if isinstance(value, list):
        return [_located(key, item) for item in value]
    if isinstance(value, str) and key.rpartition(".")[2] in PLACES and value != RUN_SCORES:
        return resolved(value)
    return value


def with_their_candidates(names: Iterable[str], retrievers: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return retrievers and, recursively, the ones whose runs they read (``candidates_from``, ``of``)."""
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [before for _, before in references(retrievers.get(name) or {})]
    return reached


def job_hash(config: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits that identify a job's scientific config."""
    return fingerprint({"version": VERSION, "config": scientific(config)})[:8]


def first_stages_name(config: Mapping[str, Any]) -> str:
    """Return the folder name of first stages without a training, such as ``retrieve-test-1a2b3c4d``."""
    return f"{RETRIEVED}{config['retrieve']['split']}-{first_stages_hash(config)}"


def first_stages_hash(config: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits of the settings ``OF_FIRST_STAGES``; loss, backbone and seed change no run."""
    kept, split = scientific(config), config["retrieve"]["split"]
    kept[DEPTH] = depths_of(kept[DEPTH])[-1]  # nothing is re-ranked: only the largest counts
    decisive = {key: kept[key] for key in OF_FIRST_STAGES if key in kept}
    return fingerprint({"version": VERSION, "split": split, **decisive})[:8]


def job_name(config: Mapping[str, Any]) -> str:
    """Return the name of a job's folder and of its W&B run, such as ``lce-n7-bm25-s1-1a2b3c4d``."""
    return f"{short_name(config)}-{job_hash(config)}"


def short_name(config: Mapping[str, Any]) -> str:
    """Return the name of a job without its hash, such as ``lce-n7-bm25-s1``, ``lce+ranknet-n7-bm25-s1`` of two stages,
    or ``<model>-on-<data set>``.
    """
    if not trains(config["model"]):
        model, measured_on = config["model"], config.get("test_set") or _data_name(config["data"])
        name = model["label"] or model["path"] or "-".join(overrides_of("model.job", model["job"]))
        of_train = "-train" if config["data"].get("measured_on") == TRAIN else ""
        return f"{_file_name(name)}-on-{_file_name(measured_on)}{of_train}"
    loss, negatives = config["loss"]["name"], config["negatives"]
    loss = f"{before}+{loss}" if (before := stage_before(config)) else loss
    return f"{prefix_of(config['model'])}{loss}-n{negatives['count']}-{negatives['source']}-s{config['seed']}"


def _data_name(data: Mapping[str, Any]) -> str:
    """Return a short name of a data set: the reader's name for it, the last part of its path, or the reader's own."""
    source = data["source"]
    return str(source.get("name") or data.get("path") or str(source["_target_"]).rpartition(".")[2].lower())


def _file_name(place: str) -> str:
    """Return the short name of a place without characters that no file name should have."""
    return re.sub(r"[^\w.-]+", "_", name_of(place))[:80]


def folder_name(kind: str, config: Mapping[str, Any]) -> str:
    """Return the folder name of an audit or a probe, such as ``audit-1a2b3c4d``."""
    return f"{kind}-{fingerprint(deciding(located(config), Experiment))[:8]}"
