"""The workspace of a study, as plain data and as W&B's own object."""

import json
import sys

import pytest

from experiments.common.errors import ExperimentError
from experiments.job_files import history
from experiments.reporting.wandb_workspace import DIAGNOSTICS, build_workspace, workspace_spec

SPEC = workspace_spec("pradeep", "RR@10", ["bm25"], ["loss", "negatives", "seed"])


def section(name: str) -> list[dict[str, object]]:
    (found,) = [one["panels"] for one in SPEC["sections"] if one["name"] == name]
    return found


def test_it_is_named_after_the_study_and_the_measure() -> None:
    assert SPEC["name"] == "pradeep by RR@10"


def test_it_shows_the_jobs_of_the_study_grouped_by_what_varies_but_seeds() -> None:
    assert SPEC["runs"] == {
        "filters": {"Group": "pradeep", "JobType": "train"},
        "group_by": ["labels.loss", "labels.negatives"],
    }


def test_results_stand_over_negatives_and_by_loss() -> None:
    assert section("RR@10") == [
        {
            "kind": "scatter",
            "title": "RR@10, BM25 re-ranked, over negatives",
            "x": "config:labels.negatives",
            "y": "bm25/RR@10",
        },
        {"kind": "bars", "title": "RR@10, BM25 re-ranked, by loss", "y": "bm25/RR@10", "group_by": "labels.loss"},
    ]


def test_the_dev_curve_is_over_steps() -> None:
    assert section("Development queries") == [
        {"kind": "lines", "title": "RR@10 while training", "x": "trainer/global_step", "y": "dev/RR@10"}
    ]


def test_loss_and_diagnostics_are_over_groups() -> None:
    assert [(one["x"], one["y"]) for one in section("Training")] == [
        ("train/groups", "train/loss"),
        ("train/groups", "train/effective_negatives"),
        ("train/groups", "train/hardest_share"),
        ("train/groups", "train/saturated_bce"),
        ("train/groups", "train/margin"),
        ("train/groups", "train/positive_on_top"),
    ]


def test_cost_is_on_a_logarithmic_axis() -> None:
    assert section("Cost")[0] == {
        "kind": "scatter",
        "title": "RR@10, BM25 re-ranked, over training FLOPs",
        "x": "compute/flops",
        "y": "bm25/RR@10",
        "log_x": True,
    }


def test_diagnostics_are_among_those_that_jobs_log() -> None:
    assert set(DIAGNOSTICS) <= set(history.DIAGNOSTICS)


def test_a_study_without_varied_negatives_has_no_panel_over_them() -> None:
    (first, *_) = workspace_spec("pradeep", "RR@10", ["bm25"], ["loss"])["sections"]
    assert [one["kind"] for one in first["panels"]] == ["bars"]


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(ExperimentError, match=r"pip install 'rerank-ablations\[workspaces\]'"):
        build_workspace(SPEC, "team", "rerank-ablations")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wandbs_own_object_has_the_panels_and_runs_of_the_spec() -> None:
    pytest.importorskip("wandb_workspaces", reason="the extra workspaces is not installed")
    workspace = build_workspace(SPEC, "team", "rerank-ablations")
    sent = json.loads(workspace._to_model().model_dump_json(by_alias=True, exclude_none=True))["spec"]
    panels = [panel for one in sent["section"]["panelBankConfig"]["sections"] for panel in one["panels"]]
    (runs,) = sent["section"]["runSets"]
    assert [one["value"] for one in runs["filters"]["filters"]] == ["pradeep", "train"]
    assert [one["name"] for one in runs["grouping"]] == ["labels.value.loss", "labels.value.negatives"]
    assert len(panels) == sum(len(one["panels"]) for one in SPEC["sections"])
    assert panels[0]["config"]["xAxis"] == "config:labels.value.negatives"
    assert panels[1]["config"]["groupBy"] == "labels.value.loss"
