"""Estimate a job's cost: groups and pairs from its config, time only from finished jobs of the same kind.

seconds = training pairs / training rate + scored pairs / rate of the rest (preparation, validation, test). Both rates
are medians over finished jobs; without any, there is no estimate of time.
"""

import logging
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments.common.cache import Cache, fingerprint
from experiments.common.errors import ExperimentError
from experiments.config import Experiment
from experiments.config.long_documents import MAX_P
from experiments.config.saved import read_job_config
from experiments.data.source import Source
from experiments.data.splits import TEST, TRAIN
from experiments.evaluation.measure_names import WHOLE_COLLECTION
from experiments.job_files.checked_results import read_metrics, read_status
from experiments.job_files.files import METRICS
from experiments.job_files.status import FINISHED

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Queries:
    """Number of dev and test queries of a job; None if not known yet."""

    dev: int | None
    test: int | None


@dataclass(frozen=True)
class Cost:
    """Upper bound of a job's work. ``groups``, ``pairs``: of its training; None for a budget in ``tokens``. ``scored``:
    pairs of validations and test; None if the number of queries is not known.
    """

    groups: int | None
    pairs: int | None
    scored: int | None
    tokens: int | None = None


@dataclass(frozen=True)
class Setting:
    """Key under which measured throughput is reused for new jobs.

    ``data``: fingerprint of the data source for jobs that embed the whole collection, else empty. ``document``: how
    long passages are scored, with the settings of windows; empty where each is scored once.
    """

    backbone: str
    model: str
    max_length: int
    device: str
    threads: int | None
    data: str
    document: str = ""


@dataclass(frozen=True)
class Rates:
    """Throughput over finished ``jobs`` of one setting: ``training`` and ``rest`` in pairs a second, ``flops`` and
    ``tokens`` a training pair.
    """

    training: float
    rest: float
    flops: float
    tokens: float
    jobs: int

    def pairs(self, cost: Cost) -> float:
        """Return the training pairs of a job, derived from its tokens if it has no pairs."""
        return cost.pairs if cost.pairs is not None else (cost.tokens or 0) / self.tokens

    def seconds(self, cost: Cost) -> float | None:
        """Estimate the seconds of a job that does not share its threads; None if ``scored`` is not known."""
        return None if cost.scored is None else self.pairs(cost) / self.training + cost.scored / self.rest


def cost_of(experiment: Experiment, queries: Queries) -> Cost:
    """Return the cost of a job, from its config."""
    if not experiment.model.trains:
        depth = experiment.rerank_depth * len(experiment.first_stage)
        return Cost(0, 0, None if queries.test is None else queries.test * depth)
    groups = groups_of(experiment)
    pairs = None if groups is None else groups * (experiment.negatives.count + 1)
    tokens = experiment.budget.size if experiment.budget.unit == "tokens" else None
    scored = None
    if queries.dev is not None and queries.test is not None:
        runs = len(experiment.first_stage) + experiment.model.retrieves  # in addition a run of the whole collection
        validation = experiment.validation
        scored = queries.test * experiment.rerank_depth * runs + queries.dev * validation.depth * validation.times
    return Cost(groups, pairs, scored, tokens)


def groups_of(experiment: Experiment) -> int | None:
    """Return the groups of the budget's steps; None for a budget in tokens."""
    steps = experiment.steps()
    return None if steps is None else steps * experiment.batch.queries(experiment.negatives.count)


def queries_of(experiment: Experiment, source: Source) -> Queries:
    """Count the queries of a job if its collection is in the cache, else return what its config or its source says."""
    from experiments.data.collection import open_collection
    from experiments.jobs.prepare import splits_of

    try:
        collection = open_collection(source, ReadOnlyCache(experiment.cache))
    except NotThereError:
        limits = experiment.data.queries
        said = counts_of(source)
        measured = TRAIN if experiment.data.measured_on == TRAIN else TEST
        tested = limits.train if measured == TRAIN else limits.test
        return Queries(limits.dev, said.get(measured) if tested is None else min(tested, said.get(measured, tested)))
    splits = splits_of(experiment, collection, ("train", "test") if experiment.model.trains else ("test",))
    return Queries(*(len(splits[name].queries) if name in splits else None for name in ("dev", "test")))


def counts_of(source: Source) -> Mapping[str, int]:
    """Return what a source knows of its numbers of passages and queries before it is read."""
    counts: Mapping[str, int] = getattr(source, "counts", dict)()
    return counts


class NotThereError(Exception):
    """The cache lacks an entry."""


class ReadOnlyCache(Cache):
    """A cache that builds nothing: an entry that is not there is a ``NotThereError``."""

    def _build(self, folder: Path, *others: Any) -> None:
        raise NotThereError(folder)


def setting_of(experiment: Experiment, device: str, threads: int | None, source: Mapping[str, Any]) -> Setting:
    """Return the setting of a new job on a ``device`` (cpu, cuda ...). ``source``: the settings of its data source."""
    model, probed = experiment.model, experiment.probe.layers is not None
    embedded = data_key(source) if probed or model.retrieves else ""
    document = document_of(asdict(model))
    return Setting(experiment.backbone.name, model.name, model.max_length, device, threads, embedded, document)


def document_of(model: Mapping[str, Any]) -> str:
    """Return how a model's config scores long passages, with the settings of windows; empty where each is scored once,
    so that a pair costs the same.
    """
    if model.get("document") != MAX_P:
        return ""
    return " ".join(str(model.get(key)) for key in ("document", "window", "stride", "max_windows"))


def device_of(experiment: Experiment) -> tuple[str, int | None]:
    """Return the kind of device that a job would use here, and its threads on a CPU."""
    wanted, threads = experiment.trainer.accelerator, experiment.compute.threads
    if threads is not None and (wanted == "cpu" or (wanted == "auto" and version("torch").endswith("+cpu"))):
        return "cpu", threads  # needs no torch, which takes seconds to import
    import torch

    device = {"gpu": "cuda", "auto": "cuda" if torch.cuda.is_available() else "cpu"}.get(wanted, wanted)
    return device, (threads or torch.get_num_threads()) if device == "cpu" else None


def data_key(data: Mapping[str, Any]) -> str:
    """Hash the settings of a data set or its source."""
    return fingerprint(dict(data))


def rates_in(outputs: Path, settings: Iterable[Setting], dev: Mapping[str, int]) -> dict[Setting, Rates]:
    """Return the rates of the settings with a finished job below ``outputs`` (``<study>/<job>``).

    ``dev``: ``data_key`` -> counted dev queries; for other data the config's limit is used. A resumed job is ignored,
    since part of its time was spent twice.
    """
    wanted = set(settings)
    by_setting: dict[Setting, list[Mapping[str, float]]] = {}
    for path in sorted(outputs.glob(f"*/*/{METRICS}")):
        try:
            measured = _finished(path.parent, wanted, dev)
        except (ExperimentError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
            log.debug("%s says nothing of speed: %r", path.parent, error)  # another version, or partly deleted
            continue
        if measured is not None:
            by_setting.setdefault(measured[0], []).append(measured[1])
    return {setting: _median(jobs) for setting, jobs in by_setting.items()}


def _median(jobs: Sequence[Mapping[str, float]]) -> Rates:
    training, rest, flops, tokens = (
        statistics.median(job[name] for job in jobs) for name in ("training", "rest", "flops", "tokens")
    )
    return Rates(training, rest, flops, tokens, len(jobs))


def _finished(folder: Path, wanted: set[Setting], dev: Mapping[str, int]) -> tuple[Setting, Mapping[str, float]] | None:
    """Return the setting and the rates of a job, if its setting is wanted and it ran in one attempt."""
    status, metrics = (read_status(folder), read_metrics(folder))
    compute, backbone = metrics["compute"], metrics["labels"]["backbone"]
    backbones = {setting.backbone for setting in wanted}
    if status["state"] != FINISHED or status["attempts"] != 1 or backbone not in backbones:
        return None
    config = read_job_config(folder)
    device = str(compute["device"]).split(":")[0]
    threads = compute["threads"] if device == "cpu" else None
    data, validation = config["data"], config["validation"]
    model, probed = config["model"], (config.get("probe") or {}).get("layers") is not None
    embedded = data_key(data["source"]) if probed or WHOLE_COLLECTION in metrics["test"] else ""
    setting = Setting(backbone, model["name"], model["max_length"], device, threads, embedded, document_of(model))
    queries = dev.get(data_key(data)) or data["queries"]["dev"] or data["carve_dev"]
    scored = sum(int(values["pairs"]) for values in metrics["test"].values())
    scored += int(queries * validation["depth"] * validation["times"])
    pairs = compute["pairs"]
    rest = compute["seconds"] - compute["train_seconds"]
    if setting not in wanted or min(pairs, compute["train_seconds"], rest, scored) <= 0:
        return None
    return setting, {
        "training": pairs / compute["train_seconds"],
        "rest": scored / rest,
        "flops": compute["flops"] / pairs,
        "tokens": compute["tokens"] / pairs,
    }
