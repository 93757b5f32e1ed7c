"""What a job will cost: groups and pairs from its config, time from finished jobs of the same kind, and from nothing
else.

Linear in pairs: seconds = training pairs / rate of training + scored pairs / rate of the rest (preparation, validation,
test). Both rates are medians over finished jobs; where there is none, no time is named.
"""

import json
import logging
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.common.cache import Cache, fingerprint
from experiments.config import Experiment
from experiments.data.source import Source
from experiments.evaluation.measure_names import WHOLE_COLLECTION
from experiments.job_files.files import CONFIG, METRICS, STATUS
from experiments.job_files.status import FINISHED

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Queries:
    """How many queries a job validates on and is tested on; None if that is not known yet."""

    dev: int | None
    test: int | None


@dataclass(frozen=True)
class Cost:
    """What a job will do. ``groups`` and ``pairs`` of its training, at most (it may stop early); None for a budget in
    ``tokens``. ``scored``: pairs of validations and test, at most; None if the number of queries is not known.
    """

    groups: int | None
    pairs: int | None
    scored: int | None
    tokens: int | None = None


@dataclass(frozen=True)
class Setting:
    """What jobs must share for the one's speed to say something of the other's. ``data``: the fingerprint of the data
    source for jobs that also embed the whole collection, else empty.
    """

    backbone: str
    model: str
    max_length: int
    device: str
    threads: int | None
    data: str


@dataclass(frozen=True)
class Rates:
    """What finished jobs of one setting did: ``training`` and ``rest`` in pairs a second, ``flops`` and ``tokens`` a
    training pair; ``jobs``: how many jobs that rests on.
    """

    training: float
    rest: float
    flops: float
    tokens: float
    jobs: int

    def pairs(self, cost: Cost) -> float:
        """Training pairs of a job: as many as it has, or as its tokens make here."""
        return cost.pairs if cost.pairs is not None else (cost.tokens or 0) / self.tokens

    def seconds(self, cost: Cost) -> float | None:
        """The estimate for a job with its threads to itself; None if what it scores is not known."""
        return None if cost.scored is None else self.pairs(cost) / self.training + cost.scored / self.rest


def cost_of(experiment: Experiment, queries: Queries) -> Cost:
    """What a job will do, from its config."""
    groups = groups_of(experiment)
    pairs = None if groups is None else groups * (experiment.negatives.count + 1)
    tokens = experiment.budget.size if experiment.budget.unit == "tokens" else None
    return Cost(groups, pairs, _scored(experiment, queries), tokens)


def groups_of(experiment: Experiment) -> int | None:
    """Groups of the budget's steps; None for a budget in tokens, whose groups show only when the texts are cut into
    tokens.
    """
    steps = experiment.steps()
    return None if steps is None else steps * experiment.batch.queries(experiment.negatives.count)


def _scored(experiment: Experiment, queries: Queries) -> int | None:
    if queries.dev is None or queries.test is None:
        return None
    runs = len(experiment.first_stage) + experiment.model.retrieves  # that of the whole collection too
    validation = experiment.validation
    return queries.test * experiment.first_stage_depth * runs + queries.dev * validation.depth * validation.times


def queries_of(experiment: Experiment, source: Source) -> Queries:
    """The queries of a job: counted if its collection is in the cache, else the limits that its config sets."""
    from experiments.data.collection import open_collection
    from experiments.jobs.prepare import splits_of

    try:
        collection = open_collection(source, _NothingNew(experiment.cache))
    except _NotThereError:
        limits = experiment.data.queries
        return Queries(limits.dev, limits.test)
    splits = splits_of(experiment, collection)
    return Queries(*(len(splits[name].queries) if name in splits else None for name in ("dev", "test")))


class _NotThereError(Exception):
    """An entry would have to be built first."""


class _NothingNew(Cache):
    """A cache that is looked at and never added to."""

    def _build(self, folder: Path, *others: Any) -> None:
        raise _NotThereError(folder)


def setting_of(experiment: Experiment, device: str, threads: int | None, source: Mapping[str, Any]) -> Setting:
    """The setting of a job that is yet to run on a ``device`` (cpu, cuda ...). ``source``: the settings of its data
    source.
    """
    model, probed = experiment.model, experiment.probe.layers is not None
    embeds = probed or model.retrieves
    return _setting(experiment.backbone.name, model.name, model.max_length, device, threads, embeds, source)


def device_of(experiment: Experiment) -> tuple[str, int | None]:
    """The kind of device that a job would run on here, and its threads if that is a CPU."""
    import torch

    wanted = experiment.trainer.accelerator
    device = {"gpu": "cuda", "auto": "cuda" if torch.cuda.is_available() else "cpu"}.get(wanted, wanted)
    return device, (experiment.compute.threads or torch.get_num_threads()) if device == "cpu" else None


def data_key(data: Mapping[str, Any]) -> str:
    """What tells the ``data`` settings of two jobs apart."""
    return fingerprint(dict(data))


def rates_in(outputs: Path, settings: Iterable[Setting], dev: Mapping[str, int]) -> dict[Setting, Rates]:
    """The rates of those settings of which a job has finished anywhere below ``outputs`` (``<study>/<job>``).

    ``dev``: ``data_key`` -> dev queries, where they were counted; of other data, as many as the config allows are
    taken. A job that was taken up again counts for nothing, since part of its time was spent twice.
    """
    wanted = set(settings)
    found: dict[Setting, list[Mapping[str, float]]] = {}
    for path in sorted(outputs.glob(f"*/*/{METRICS}")):
        try:
            measured = _finished(path.parent, wanted, dev)
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.debug("%s says nothing of speed: %r", path.parent, error)  # written by another version, or half gone
            continue
        if measured is not None:
            found.setdefault(measured[0], []).append(measured[1])
    return {setting: _median(jobs) for setting, jobs in found.items()}


def _median(jobs: Sequence[Mapping[str, float]]) -> Rates:
    training, rest, flops, tokens = (
        statistics.median(job[name] for job in jobs) for name in ("training", "rest", "flops", "tokens")
    )
    return Rates(training, rest, flops, tokens, len(jobs))


def _finished(folder: Path, wanted: set[Setting], dev: Mapping[str, int]) -> tuple[Setting, Mapping[str, float]] | None:
    """The setting and the rates of a job, if it is one of those wanted and was run in one go."""
    status, metrics = (json.loads((folder / name).read_text(encoding="utf-8")) for name in (STATUS, METRICS))
    compute, backbone = metrics["compute"], metrics["labels"]["backbone"]
    if (
        status["state"] != FINISHED
        or status["attempts"] != 1
        or backbone not in {setting.backbone for setting in wanted}
    ):
        return None
    config = _yaml(folder / CONFIG)
    device = str(compute["device"]).split(":")[0]
    threads = compute["threads"] if device == "cpu" else None
    model, probed = config["model"], (config.get("probe") or {}).get("layers") is not None
    embeds = probed or WHOLE_COLLECTION in metrics["test"]
    setting = _setting(backbone, model["name"], model["max_length"], device, threads, embeds, config["data"]["source"])
    pairs, scored = compute["pairs"], _was_scored(config, metrics, dev)
    rest = compute["seconds"] - compute["train_seconds"]
    if setting not in wanted or min(pairs, compute["train_seconds"], rest, scored) <= 0:
        return None
    return setting, {
        "training": pairs / compute["train_seconds"],
        "rest": scored / rest,
        "flops": compute["flops"] / pairs,
        "tokens": compute["tokens"] / pairs,
    }


def _was_scored(config: Mapping[str, Any], metrics: Mapping[str, Any], dev: Mapping[str, int]) -> int:
    data, validation = config["data"], config["validation"]
    queries = dev.get(data_key(data)) or data["queries"]["dev"] or data["carve_dev"]
    test = sum(int(values["pairs"]) for values in metrics["test"].values())
    return test + int(queries * validation["depth"] * validation["times"])


def _setting(
    backbone: str,
    model: str,
    max_length: int,
    device: str,
    threads: int | None,
    embeds: bool,
    source: Mapping[str, Any],
) -> Setting:
    return Setting(backbone, model, max_length, device, threads, fingerprint(dict(source)) if embeds else "")


def _yaml(path: Path) -> Any:
    import yaml

    try:  # the C parser, where there is one, is ten times as fast
        return yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not readable YAML") from error
