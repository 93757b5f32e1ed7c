"""Which job a config is: two configs that differ in anything scientific are two jobs, and in nothing else are the same
one.
"""

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from experiments.common.cache import fingerprint
from experiments.common.model_files import resolved
from experiments.config.compute import INCIDENTAL_CALLBACKS, INCIDENTAL_TRAINER_ARGUMENTS
from experiments.config.negatives import RUN_SCORES, sources_of
from experiments.evaluation.measure_names import min_grade_in, resolve

VERSION = 3  # raised when the meaning of a config changes, so that old jobs are not taken for new ones

# Where and how a job runs, not what it is.
INCIDENTAL = ("study", "outputs", "cache", "logger", "compute")
PLACES = ("path", "checkpoint", "scorer", "teacher", "cross_encoder")  # keys of local paths or hub ids
ONLY_OF = {"late_interaction": "colbert", "dual_encoder": "dual_encoder"}  # settings of one kind of model
OF_FIRST_STAGES = ("data", "first_stage", "first_stage_depth", "measures", "retrievers")  # decide what is retrieved
RETRIEVED = "retrieve-"  # begins the name of such a folder
INCIDENTAL_OF_RETRIEVER = ("device", "tokens_per_batch")


def scientific(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved config that decides the outcome: the retrievers that no role names are left out, as are
    device and logging. Local paths are as they are from everywhere; what is at them is in the job's inputs.
    """
    config = located(config)
    elsewhere = (*INCIDENTAL, "scale", "audit", "retrieve", "checkpoint", "trainer", "callbacks", "retrievers", "hydra")
    kept = {key: value for key, value in config.items() if key not in elsewhere}
    kept["trainer"] = deciding(config["trainer"], INCIDENTAL_TRAINER_ARGUMENTS)
    callbacks = deciding(config["callbacks"], INCIDENTAL_CALLBACKS)
    kept["callbacks"] = {name: settings for name, settings in callbacks.items() if settings is not None}
    min_grade = min_grade_in(config)
    if "measures" in kept:  # by their names in the results: another grade is another measure, another spelling is none
        kept["measures"] = resolve(kept["measures"], min_grade)
    kind = config["model"]["kind"]
    kept["model"] = {key: value for key, value in config["model"].items() if ONLY_OF.get(key, kind) == kind}
    if config.get("probe", {}).get("layers") is None:
        kept.pop("probe", None)
    elif "measures" in kept["probe"]:
        kept["probe"] = {**kept["probe"], "measures": resolve(kept["probe"]["measures"], min_grade, "probe.measures")}
    roles = [*sources_of(config["negatives"]["source"]), *config["first_stage"]]
    named = with_their_candidates(roles, config["retrievers"])
    kept["retrievers"] = {
        name: {key: value for key, value in settings.items() if key not in INCIDENTAL_OF_RETRIEVER}
        for name, settings in config["retrievers"].items()
        if name in named
    }
    return kept


def deciding(settings: Mapping[Any, Any], incidental: Iterable[str]) -> dict[str, Any]:
    """Return the settings whose names are not ``incidental``."""
    return {key: value for key, value in settings.items() if key not in incidental}


def located(config: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved config whose local paths are absolute, so that a job is the same from another folder and however its
    paths are spelled. Hub ids stay, as does a path to nothing that might be one.
    """
    return {key: _located(key, value) for key, value in config.items()}


def _located(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return located(value)
    if isinstance(value, list):
        return [_located(key, one) for one in value]
    if isinstance(value, str) and key in PLACES and value != RUN_SCORES:
        return resolved(value)
    if isinstance(value, str) and key == "job":  # the overrides of another job, with places of its own
        try:
            overrides = [one.partition("=") for one in shlex.split(value)]
        except ValueError:  # a quote that is not closed: refused when the job is composed
            return value
        return shlex.join(f"{name}{sign}{_located(name.rpartition('.')[2], given)}" for name, sign, given in overrides)
    return value


def with_their_candidates(names: Iterable[str], retrievers: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Some retrievers and those whose candidates they re-rank (``candidates_from``), and so on."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            before = (retrievers.get(name) or {}).get("candidates_from")
            waiting += [before] if before else []
    return found


def job_hash(config: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits that identify a job's scientific config."""
    return fingerprint({"version": VERSION, "config": scientific(config)})[:8]


def first_stages_name(config: Mapping[str, Any]) -> str:
    """The name of the folder of first stages measured alone, such as ``retrieve-test-1a2b3c4d``."""
    return f"{RETRIEVED}{config['retrieve']['split']}-{first_stages_hash(config)}"


def first_stages_hash(config: Mapping[str, Any]) -> str:
    """Return eight hexadecimal digits that identify a measurement of first stages alone.

    They depend on the data, the first stages, their depth and the measures. No loss, backbone or seed changes a run.
    """
    kept, split = scientific(config), config["retrieve"]["split"]
    deciding = {key: kept[key] for key in OF_FIRST_STAGES if key in kept}
    return fingerprint({"version": VERSION, "split": split, **deciding})[:8]


def job_name(config: Mapping[str, Any]) -> str:
    """The name of a job's folder and of its W&B run, such as ``lce-n7-bm25-s1-1a2b3c4d``."""
    loss, negatives, kind = config["loss"]["name"], config["negatives"], config["model"]["kind"]
    prefix = "" if kind == "cross_encoder" else f"{kind}-"
    return f"{prefix}{loss}-n{negatives['count']}-{negatives['source']}-s{config['seed']}-{job_hash(config)}"


def folder_name(what: str, config: Mapping[str, Any]) -> str:
    """The name of the folder that an audit or a probe of a config writes into, such as ``audit-1a2b3c4d``."""
    config = located(config)
    return f"{what}-{fingerprint({key: value for key, value in config.items() if key not in INCIDENTAL})[:8]}"
