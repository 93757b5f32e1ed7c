"""Build a study's W&B workspace: its runs, their groups and the panels.

``workspace_spec`` describes it as plain data. ``build_workspace`` makes W&B's object of it, which needs the extra
``workspaces``; only its ``save`` needs a login and a network.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.analysis.findings import Findings
from experiments.analysis.measure_choice import dev_measure
from experiments.common.errors import ExperimentError
from experiments.reporting.names import proper_name

STEPS = "trainer/global_step"
GROUPS = "train/groups"
DIAGNOSTICS = ("effective_negatives", "hardest_share", "saturated_bce", "margin", "positive_on_top")
COSTS = {"compute/flops": "training FLOPs", "compute/train_seconds": "training seconds"}
AVERAGED = ("seed",)  # labels over which panels draw the mean
COLUMNS = 3  # panels side by side


def spec_of(findings: Findings) -> dict[str, Any]:
    """Describe the workspace of a study. See ``workspace_spec``."""
    trainings = [result.setting.training for result in findings.results]
    names = dict.fromkeys(name for labels in trainings for name in labels)
    axes = [name for name in names if len({str(labels.get(name)) for labels in trainings}) > 1]
    first_stages = list(dict.fromkeys(block.first_stage for block in findings.groups))
    dev = dev_measure(findings.jobs) or findings.measure
    return workspace_spec(findings.folder.name, findings.measure, first_stages, axes, dev)


def workspace_spec(
    study: str, measure: str, first_stages: Sequence[str], axes: Sequence[str], dev: str | None = None
) -> dict[str, Any]:
    """Describe a workspace as plain data.

    ``study``: W&B's group; its runs of the type ``train`` are shown. ``first_stages``: what the study re-ranks.
    ``axes``: the labels that vary; runs are grouped by them, so panels average over seeds. ``dev``: the measure that
    chooses checkpoints; None for ``measure``.

    Returned keys: ``name``; ``runs`` with ``filters`` (run attributes) and ``group_by`` (config keys); ``sections``,
    each with a ``name`` and ``panels``. A panel has a ``kind`` (``scatter``, ``bars`` or ``lines``), a ``title``, and
    the keys ``x`` and ``y``; keys of the config start with ``config:``.
    """
    dev = dev or measure
    labels = [f"labels.{axis}" for axis in axes if axis not in AVERAGED]
    results: list[dict[str, Any]] = []
    costs: list[dict[str, Any]] = []
    for first_stage in first_stages:
        y, title = f"{first_stage}/{measure}", f"{measure}, {proper_name(first_stage)} re-ranked"
        if "labels.negatives" in labels:
            x = "config:labels.negatives"
            results.append({"kind": "scatter", "title": f"{title}, over negatives", "x": x, "y": y})
        results += [
            {"kind": "bars", "title": f"{title}, by {label.removeprefix('labels.')}", "y": y, "group_by": label}
            for label in labels
            if label != "labels.negatives"
        ]
        costs += [
            {"kind": "scatter", "title": f"{title}, over {name}", "x": cost, "y": y, "log_x": True}
            for cost, name in COSTS.items()
        ]
    dev_panel = {"kind": "lines", "title": f"{dev} while training", "x": STEPS, "y": f"dev/{dev}"}
    training = [
        {"kind": "lines", "title": name.replace("_", " "), "x": GROUPS, "y": f"train/{name}"}
        for name in ("loss", *DIAGNOSTICS)
    ]
    return {
        "name": f"{study} by {measure}",
        "runs": {"filters": {"Group": study, "JobType": "train"}, "group_by": labels},
        "sections": [
            {"name": measure, "panels": results},
            {"name": "Development queries", "panels": [dev_panel]},
            {"name": "Training", "panels": training},
            {"name": "Cost", "panels": costs},
        ],
    }


def build_workspace(spec: Mapping[str, Any], entity: str, project: str) -> Any:
    """Build a ``wandb_workspaces.workspaces.Workspace`` from the data of ``workspace_spec``, without sending it.

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
    """Save a workspace in W&B, and return its address.

    Raises:
        ExperimentError: the package wandb-workspaces is not installed, or W&B refuses the workspace.
    """
    workspace = build_workspace(spec, entity, project)
    try:
        workspace.save()
    except Exception as error:  # the client has no common class of errors
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ExperimentError(f"W&B does not save the workspace in {entity}/{project}: {reason}") from error
    return str(workspace.url)


def _panel(panel: Mapping[str, Any]) -> Any:
    from wandb_workspaces.reports import v2

    wr: Any = v2  # its type stubs do not list its exports
    title, y = panel["title"], panel["y"]
    if panel["kind"] == "lines":
        return wr.LinePlot(title=title, x=panel["x"], y=[y])
    if panel["kind"] == "bars":
        by = wr.Config(panel["group_by"])
        return wr.BarPlot(title=title, metrics=[y], groupby=by, groupby_aggfunc="mean", groupby_rangefunc="stddev")
    key = panel["x"]
    x = wr.Config(key.removeprefix("config:")) if key.startswith("config:") else wr.SummaryMetric(key)
    return wr.ScatterPlot(title=title, x=x, y=wr.SummaryMetric(y), log_x=panel.get("log_x"))
