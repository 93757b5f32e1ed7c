"""Which job a config is: two configs that differ in anything scientific are two jobs, and in nothing else are the same
one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from experiments.evaluation.measure_names import min_grade_in, resolve
from experiments.negatives.rule import sources_of
from experiments.store import fingerprint

VERSION = 2  # raised when the meaning of a config changes, so that old jobs are not taken for new ones

# Where and how a job runs, not what it is. Precision changes results, so it stays.
INCIDENTAL = ("study", "outputs", "cache", "logger")
ONLY_OF = {"late_interaction": "colbert", "dual_encoder": "dual_encoder"}  # settings of one kind of model
INCIDENTAL_OF_RETRIEVER = ("device", "tokens_per_batch")
INCIDENTAL_OF_TRAINER = (
    "accelerator",
    "devices",
    "strategy",
    "threads",
    "workers",
    "deterministic",
    "layout",
    "tokens_per_batch",
    "log_every",
    "checkpoint_minutes",
)


def scientific(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved config that decides the outcome: the retrievers that no role names are left out, as are
    device and logging.
    """
    elsewhere = (*INCIDENTAL, "scale", "audit", "retrieve", "checkpoint", "trainer", "retrievers", "hydra")
    kept = {key: value for key, value in config.items() if key not in elsewhere}
    kept["trainer"] = {key: value for key, value in config["trainer"].items() if key not in INCIDENTAL_OF_TRAINER}
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


def job_name(config: Mapping[str, Any]) -> str:
    """The name of a job's folder and of its W&B run, such as ``lce-n7-bm25-s1-1a2b3c4d``."""
    loss, negatives, kind = config["loss"]["name"], config["negatives"], config["model"]["kind"]
    prefix = "" if kind == "cross_encoder" else f"{kind}-"
    return f"{prefix}{loss}-n{negatives['count']}-{negatives['source']}-s{config['seed']}-{job_hash(config)}"


def folder_name(what: str, config: Mapping[str, Any]) -> str:
    """The name of the folder that an audit or a probe of a config writes into, such as ``audit-1a2b3c4d``."""
    return f"{what}-{fingerprint({key: value for key, value in config.items() if key not in INCIDENTAL})[:8]}"
