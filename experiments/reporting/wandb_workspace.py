"""What a study looks like in W&B's browser: which runs, grouped by what, in which panels.

``workspace_spec`` says it as plain data, in the keys under which jobs log. ``build_workspace`` makes W&B's own object
of it, which needs the extra ``workspaces``; only its ``save`` needs a login and a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.analysis.measure_choice import dev_measure
from experiments.common.errors import ExperimentError
from experiments.reporting.names import proper_name

if TYPE_CHECKING:
    from experiments.analysis.findings import Findings

STEPS = "trainer/global_step"
GROUPS = "train/groups"
DIAGNOSTICS = ("effective_negatives", "hardest_share", "saturated_bce", "margin", "positive_on_top")
COSTS = {"compute/flops": "training FLOPs", "compute/train_seconds": "training seconds"}
AVERAGED = ("seed",)  # labels that are no axis: a mean over them is what is drawn
COLUMNS = 3  # panels side by side


def spec_of(findings: Findings) -> dict[str, Any]:
    """The workspace of a study that has been read. See ``workspace_spec``."""
    labels = [result.setting.training for result in findings.results]
    names = dict.fromkeys(name for one in labels for name in one)
    axes = [name for name in names if len({str(one.get(name)) for one in labels}) > 1]
    first_stages = list(dict.fromkeys(block.first_stage for block in findings.groups))
    dev = dev_measure(findings.jobs) or findings.measure
    return workspace_spec(findings.folder.name, findings.measure, first_stages, axes, dev)


def workspace_spec(
    study: str, measure: str, first_stages: Sequence[str], axes: Sequence[str], dev: str | None = None
) -> dict[str, Any]:
    """A workspace as plain data.

    Args:
        study: W&B's group; its runs of the type ``train`` are shown.
        measure: such as "RR@10".
        first_stages: what the study re-ranks, by name.
        axes: the labels that vary, such as "loss" and "negatives"; the runs are grouped by them, so that what is left
            to average are the seeds.
        dev: the measure that checkpoints are chosen by; None for ``measure``.

    Returns:
        ``name``; ``runs`` with ``filters`` (of a run's attributes) and ``group_by`` (config keys); ``sections``, each
        with a ``name`` and ``panels``. A panel has a ``kind`` (``scatter``, ``bars`` or ``lines``), a ``title``, and
        keys to draw: ``x`` and ``y``, those of the config after ``config:``.
    """
    dev = dev or measure
    labels = [f"labels.{axis}" for axis in axes if axis not in AVERAGED]
    return {
        "name": f"{study} by {measure}",
        "runs": {"filters": {"Group": study, "JobType": "train"}, "group_by": labels},
        "sections": [
            {"name": measure, "panels": _results(measure, first_stages, labels)},
            {"name": "Development queries", "panels": [_lines(f"{dev} while training", STEPS, f"dev/{dev}")]},
            {"name": "Training", "panels": _training()},
            {"name": "Cost", "panels": _costs(measure, first_stages)},
        ],
    }


def _results(measure: str, first_stages: Sequence[str], labels: Sequence[str]) -> list[dict[str, Any]]:
    panels = []
    for first_stage in first_stages:
        y, what = f"{first_stage}/{measure}", f"{measure}, {proper_name(first_stage)} re-ranked"
        if "labels.negatives" in labels:
            panels.append(
                {"kind": "scatter", "title": f"{what}, over negatives", "x": "config:labels.negatives", "y": y}
            )
        others = [label for label in labels if label != "labels.negatives"]
        panels += [
            {"kind": "bars", "title": f"{what}, by {label.removeprefix('labels.')}", "y": y, "group_by": label}
            for label in others
        ]
    return panels


def _training() -> list[dict[str, Any]]:
    return [_lines("loss", GROUPS, "train/loss")] + [
        _lines(name.replace("_", " "), GROUPS, f"train/{name}") for name in DIAGNOSTICS
    ]


def _costs(measure: str, first_stages: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "kind": "scatter",
            "title": f"{measure}, {proper_name(first_stage)} re-ranked, over {what}",
            "x": cost,
            "y": f"{first_stage}/{measure}",
            "log_x": True,
        }
        for first_stage in first_stages
        for cost, what in COSTS.items()
    ]


def _lines(title: str, x: str, y: str) -> dict[str, Any]:
    return {"kind": "lines", "title": title, "x": x, "y": y}


def build_workspace(spec: Mapping[str, Any], entity: str, project: str) -> Any:
    """A ``wandb_workspaces.workspaces.Workspace`` of a spec; nothing is sent before its ``save``.

    Args:
        spec: as ``workspace_spec`` gives it.
        entity: W&B's user or team.
        project: W&B's project.

    Raises:
        ExperimentError: the package wandb-workspaces is not installed.
    """
    try:
        from wandb_workspaces import expr
        from wandb_workspaces import workspaces as ws
    except ImportError as error:
        raise ExperimentError(
            "a W&B workspace needs the package wandb-workspaces: pip install 'rerank-ablations[workspaces]'"
        ) from error
    runs = spec["runs"]
    sections = [
        ws.Section(
            name=section["name"],
            panels=[_panel(panel) for panel in section["panels"]],
            is_open=True,
            layout_settings=ws.SectionLayoutSettings(columns=COLUMNS, rows=-(-len(section["panels"]) // COLUMNS)),
        )
        for section in spec["sections"]
        if section["panels"]
    ]
    runset = ws.RunsetSettings(
        filters=expr.And(*(expr.Metric(name) == value for name, value in runs["filters"].items())),
        groupby=[expr.Config(key) for key in runs["group_by"]],
    )
    return ws.Workspace(entity=entity, project=project, name=spec["name"], sections=sections, runset_settings=runset)


def save_workspace(spec: Mapping[str, Any], entity: str, project: str) -> str:
    """Save a workspace in W&B; its address.

    Raises:
        ExperimentError: the package wandb-workspaces is not installed, or W&B does not take the workspace.
    """
    workspace = build_workspace(spec, entity, project)
    try:
        workspace.save()
    except Exception as error:
        # Its client has no common class for what can go wrong on the way.
        said = " ".join(str(error).split()) or type(error).__name__
        raise ExperimentError(f"W&B does not save the workspace in {entity}/{project}: {said}") from error
    return str(workspace.url)


def _panel(panel: Mapping[str, Any]) -> Any:
    from wandb_workspaces.reports import v2

    wr: Any = v2  # its types do not name what it exports
    title, y = panel["title"], panel["y"]
    if panel["kind"] == "lines":
        return wr.LinePlot(title=title, x=panel["x"], y=[y])
    if panel["kind"] == "bars":
        by = wr.Config(panel["group_by"])
        return wr.BarPlot(title=title, metrics=[y], groupby=by, groupby_aggfunc="mean", groupby_rangefunc="stddev")
    key = panel["x"]
    x = wr.Config(key.removeprefix("config:")) if key.startswith("config:") else wr.SummaryMetric(key)
    return wr.ScatterPlot(title=title, x=x, y=wr.SummaryMetric(y), log_x=panel.get("log_x"))
