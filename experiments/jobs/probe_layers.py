"""Probe the layers of a model as a stage of a job: write, log and return the results for ``metrics.json``."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common.cache import Cache
from experiments.config import Experiment
from experiments.config.probe import Probe
from experiments.data.collection import Collection
from experiments.data.run import Run
from experiments.job_files.per_query import PROBE, PerQuery, per_query_path, write_per_query
from experiments.models.backbone import locate
from experiments.probing.evaluate_layers import ProbeResult, layer_encoder, probe
from experiments.probing.model import ProbedModel, load_model
from experiments.tracking.wandb_job import NoTracking, WandbJob

Relevance = Mapping[int, Mapping[int, int]]


def settings_of(experiment: Experiment) -> Probe:
    """Return the settings of an experiment's probe, with the model's ``max_length`` if they have none."""
    return replace(experiment.probe, max_length=experiment.probe.max_length or experiment.model.max_length)


def check_probe(experiment: Experiment, model: ProbedModel) -> None:
    """Refuse, before a training, a layer, pairing, pooling or length that does not fit the model."""
    layer_encoder(model, settings_of(experiment))


def probe_stage(
    experiment: Experiment,
    model: ProbedModel,
    collection: Collection,
    relevance: Relevance,
    first_stages: Mapping[str, Run],
    folder: Path,
    tracking: WandbJob | NoTracking,
    cache: Cache,
) -> dict[str, Any]:
    """Probe a model, and with ``probe.control`` its untrained backbone too; returns ``model`` and ``control``.

    Writes ``per_query.probe.tsv`` into ``folder`` and logs each measure over the layers.

    Raises:
        ExperimentError: see ``probe``.
    """
    settings, depth = settings_of(experiment), experiment.rerank_depth
    result = probe(model, settings, collection, relevance, first_stages, cache, depth)
    control = None
    if experiment.probe.control:
        backbone = load_model(locate(experiment.backbone), experiment.backbone.revision, experiment.backbone.name)
        control = probe(backbone, settings, collection, relevance, first_stages, cache, depth)
    columns = {name: np.array(values_Q) for name, values_Q in result.columns().items()}
    table = PerQuery(tuple(collection.queries.ids(list(result.queries))), columns, {})
    write_per_query(per_query_path(folder, PROBE), table)
    tracking.log_table("probe", *result.table())
    tracking.log_curve("probe/layer", _curve(result))
    return {"model": result.as_dict(), "control": control.as_dict() if control is not None else None}


def _curve(result: ProbeResult) -> list[dict[str, float]]:
    """Return a row for each layer: ``probe/layer`` and each measure by pooling and candidates."""
    rows: dict[int, dict[str, float]] = {}
    for cell in result.cells:
        row = rows.setdefault(cell.layer, {"probe/layer": float(cell.layer)})
        row |= {f"probe/{cell.candidates}/{cell.pooling}/{name}": value for name, value in cell.mean.items()}
    return [rows[layer] for layer in sorted(rows)]
