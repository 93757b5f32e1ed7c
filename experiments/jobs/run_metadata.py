"""Describe a run in the fields of ir_metadata 0.1 (https://www.ir-metadata.org), for the header of its file.

``resources`` is from version 0.2 of the schema, as tirex-tracker writes it.
"""

import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.config import Experiment
from experiments.config.retriever_references import ONE, SEVERAL, references
from experiments.data.run_header import header_text
from experiments.job_files.job_folder import git_revision, packages
from experiments.job_files.local_paths import without_local_paths

NO_SETTINGS = ("_target_", ONE, SEVERAL, "job")
GIGABYTE = 2**30
CPU_INFO = Path("/proc/cpuinfo")
CATALOGUE = "ir_datasets.IrDataset"  # ends the name of the reader whose splits are ids of ir_datasets
TRAIN = "train"


@dataclass(frozen=True)
class Origin:
    """What made a run.

    ``tag``: name of the run. ``collection``, ``split``: names of what was measured. ``first_stage``: the retriever that
    is re-ranked or measured; None if the trained model searched the whole collection. ``trained``: whether a trained
    model made the run. ``seconds``: that the job has taken so far. ``gpu``: name of the GPU. ``depth``: of re-ranking;
    None for the experiment's.
    """

    tag: str
    collection: str
    split: str
    first_stage: str | None
    trained: bool
    seconds: float
    gpu: str | None = None
    depth: int | None = None


def header_of(experiment: Experiment, origin: Origin) -> str:
    """Return the header of a run file; empty if ``run_files.header`` is off."""
    if not experiment.run_files.header:
        return ""
    metadata = {
        "schema-version": 0.1,
        "run-version": 1.0,
        "tag": origin.tag,
        "platform": _platform(origin.gpu),
        "research goal": _research_goal(experiment, origin),
        "implementation": _implementation(),
        "resources": {"runtime": {"wallclock": f"{1000 * origin.seconds:.0f} ms"}},
        "method": _method(experiment, origin),
        "data": _data(experiment, origin),
    }
    return header_text(without_local_paths(_merged(metadata, experiment.run_files.fields), Path.cwd()))


def _platform(gpu: str | None) -> dict[str, Any]:
    cpu = {
        "model": _cpu_model(),
        "architecture": platform.machine(),
        "operation mode": platform.architecture()[0].replace("bit", "-bit"),
        "number of cores": os.cpu_count(),
    }
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    libraries = [f"{name}=={version}" for name, version in packages().items()]
    return {
        "hardware": {"cpu": cpu, **({"gpu": {"model": gpu}} if gpu else {}), "ram": f"{memory:.0f} GB"},
        "operating system": {"kernel": platform.release(), "distribution": _distribution()},
        "software": {"libraries": {"python": libraries}},
    }


def _cpu_model() -> str:
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:  # no such file: another system than Linux
        return f"{platform.system()} {platform.version()}"


def _research_goal(experiment: Experiment, origin: Origin) -> dict[str, Any]:
    baseline = {"baseline": [origin.first_stage or experiment.first_stage[0]]} if origin.trained else {}
    return {"evaluation": {"reported measures": list(experiment.measures), **baseline}}


def _implementation() -> dict[str, Any]:
    commit = git_revision()
    return {"source": {"lang": ["python"], **({"commit": commit} if commit else {})}}


def _method(experiment: Experiment, origin: Origin) -> dict[str, Any]:
    first = origin.first_stage
    stages = list(_retrievers(experiment, first)) if first is not None else []
    if origin.trained:
        reranks = {"reranks": first, "depth": origin.depth or experiment.rerank_depth} if first is not None else {}
        stages.append({"name": origin.tag, **_model(experiment), **reranks})
    return {"automatic": True, "score ties": "the order of the stage before", "retrieval": stages}


def _retrievers(experiment: Experiment, name: str) -> Iterator[dict[str, Any]]:
    """Yield a retriever's entry after those of the retrievers that it reads."""
    settings = experiment.retrievers[name]
    before = references(settings)
    for _, other in before:
        yield from _retrievers(experiment, other)
    entry = {"name": name, "method": settings["_target_"]}
    entry |= {key: value for key, value in settings.items() if key not in NO_SETTINGS and value is not None}
    if settings.get(ONE):
        entry["reranks"] = settings[ONE]
    if settings.get(SEVERAL):
        entry["interpolates"] = [other for key, other in before if key == SEVERAL]
    yield entry


def _model(experiment: Experiment) -> dict[str, Any]:
    return {
        "method": experiment.model.name,
        "backbone": experiment.backbone.path or experiment.backbone.package or experiment.backbone.name,
        **({"init_from": experiment.init_from.path} if experiment.init_from.path is not None else {}),
        "loss": experiment.loss["name"],
        "negatives": experiment.negatives.count,
        "source of negatives": experiment.negatives.source,
        "budget": f"{experiment.budget.size} {experiment.budget.unit}",
        "seed": experiment.seed,
    }


def _data(experiment: Experiment, origin: Origin) -> dict[str, Any]:
    source = experiment.data.source
    catalogue = source.get("splits") or {} if str(source.get("_target_")).endswith(CATALOGUE) else {}
    ids = {split: {"ir_datasets": catalogue[split]} if catalogue.get(split) else {} for split in (TRAIN, origin.split)}
    training = {"training data": [{"name": origin.collection, **ids[TRAIN]}]} if origin.trained else {}
    return {"test collection": {"name": origin.collection, "split": origin.split, **ids[origin.split]}, **training}


def _merged(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values in which those of ``given`` replace one's own."""
    merged = dict(own)
    for key, value in given.items():
        before = merged.get(key)
        merged[key] = _merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return merged
