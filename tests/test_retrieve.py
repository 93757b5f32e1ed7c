"""``python -m experiments.retrieve``: first stages measured without a training, and kept like a job."""

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers.jobs import ROOT, composed
from helpers.tiny import write_beir_folder
from rich.console import Console

from experiments import compare
from experiments.analysis.load import read_study
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.jobs.components import make_components
from experiments.reporting.tables.terminal import parts_of, print_tables
from experiments.studies.current_inputs import InputLoader
from experiments.studies.verify import verify_job

TWO = ["+retriever@retrievers.other=bm25", "retrievers.other.b=0.0", "first_stage=[bm25,other]"]


def retrieving() -> ModuleType:
    """The module of the command, which names folders in its own way when it is imported."""
    from experiments import retrieve

    compose.register()
    return retrieve


def overrides_of(tmp_path: Path, *more: str) -> list[str]:
    return [
        "data=beir", f"data.path={tmp_path / 'shapes'}", "measures=[RR@10,R@20]", "logger=none",
        f"outputs={tmp_path / 'out'}", f"cache={tmp_path / 'cache'}", *more,
    ]  # fmt: skip


def retrieve(tmp_path: Path, *more: str) -> tuple[dict[str, Any], Path]:
    """What the command does, in this process."""
    module, config = retrieving(), composed(*overrides_of(tmp_path, *more))
    experiment = compose.check(config)
    settings = module.settings_of(compose.plain(config))
    return module.measure_first_stages(experiment, settings, make_components(experiment))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Path]:
    """Two BM25s over the test queries: the folder of everything, the metrics, and the folder of the results."""
    tmp_path = tmp_path_factory.mktemp("retrieve")
    write_beir_folder(tmp_path / "shapes")
    return tmp_path, *retrieve(tmp_path, *TWO)


def test_the_command_prints_a_table_of_at_most_80_columns(tmp_path: Path):
    write_beir_folder(tmp_path / "shapes")
    names = [f"bm25_with_b_{i}" for i in range(6)]
    more = [f"+retriever@retrievers.{name}=bm25" for name in names] + [f"first_stage=[bm25,{','.join(names)}]"]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.retrieve", *overrides_of(tmp_path, *more)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "shapes, 12 test queries"
    assert max(map(len, lines[:-1])) <= 80, "the last line is the folder"
    assert all(any(name in line for line in lines) for name in names), "no name is cut"
    assert (Path(lines[-1]) / "metrics.json").is_file()


def test_metrics_values_by_query_and_runs_are_kept_like_those_of_a_job(measured: tuple[Path, dict[str, Any], Path]):
    _, metrics, folder = measured
    assert folder.parent.name == "runs"
    assert folder.name.startswith("retrieve-test-")
    assert {path.name for path in folder.iterdir()} >= {
        "status.json", "config.yaml", "metrics.json", "per_query.bm25.tsv", "per_query.other.tsv", "run.bm25.trec.gz",
        "run.other.trec.gz",
    }  # fmt: skip
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    (job,) = read_study(folder.parent)
    assert job.finished
    for name in ("bm25", "other"):
        values = job.per_query[name]
        assert len(values.query_ids) == metrics["test"][name]["queries"] == 12
        assert values.reranked["RR@10"].mean() == pytest.approx(metrics["test"][name]["RR@10"], abs=1e-5)
        assert values.reranked["RR@10"].tolist() == values.first_stage["RR@10"].tolist()


def test_what_was_measured_before_is_read_again(
    measured: tuple[Path, dict[str, Any], Path], caplog: pytest.LogCaptureFixture
):
    tmp_path, metrics, folder = measured
    before = (folder / "run.bm25.trec.gz").stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        again = retrieve(tmp_path, *TWO)
    assert again == (metrics, folder)
    assert (folder / "run.bm25.trec.gz").stat().st_mtime_ns == before
    assert f"measured before: {folder}" in caplog.messages


def test_another_split_is_another_folder_and_both_verify(measured: tuple[Path, dict[str, Any], Path]):
    tmp_path, _, folder = measured
    metrics, other = retrieve(tmp_path, *TWO, "retrieve.split=dev")
    assert other != folder
    assert metrics["test"]["bm25"]["queries"] == 8
    for place, values in ((folder, 48), (other, 32)):
        verified = verify_job(place, InputLoader())
        assert (verified.runs, verified.values, verified.differences) == (2, values, ())


@pytest.mark.parametrize("override", ["loss=hinge", "seed=2", "negatives.count=3", "backbone=bert_tiny"])
def test_what_trains_no_retriever_leaves_the_folder_as_it_is(
    measured: tuple[Path, dict[str, Any], Path], override: str
):
    tmp_path, metrics, folder = measured
    assert retrieve(tmp_path, *TWO, override) == (metrics, folder)


@pytest.mark.parametrize(
    "override", ["first_stage_depth=7", "measures=[RR@5]", "data.min_grade=2", "retrievers.bm25.b=0.5"]
)
def test_what_decides_the_results_is_another_folder(tmp_path: Path, override: str):
    write_beir_folder(tmp_path / "shapes")
    names = [
        retrieving().folder_of(compose.plain(composed(*overrides_of(tmp_path, *more)))) for more in ([], [override])
    ]
    assert names[0] != names[1]


def test_compare_reads_the_folder(measured: tuple[Path, dict[str, Any], Path], capsys: pytest.CaptureFixture[str]):
    _, _, folder = measured
    assert compare.main([str(folder.parent), "--offline", "--measure", "RR@10"]) == 0
    assert "12 test queries" in capsys.readouterr().out


def test_first_stages_that_do_not_fit_go_into_further_parts_of_the_table():
    values = {"RR@10": 0.5, "queries": 2, "pairs": 20, "seconds": 0.25}
    table = retrieving().table_of({f"retriever_{i}": values for i in range(6)}, ["RR@10"], "a title")
    assert [row[0] for row in table.rows] == ["MRR@10", "passages a query", "seconds"]
    assert [len(part.columns) for part in parts_of(table, 80)] == [6, 2]
    console = Console(width=80, record=True, file=io.StringIO())
    print_tables([table], console, widen=False)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("10.0") == 6, "20 passages of 2 queries"


def test_a_collection_without_training_queries_will_do(tmp_path: Path):
    folder = write_beir_folder(tmp_path / "shapes")
    (folder / "qrels" / "train.tsv").unlink()
    (folder / "qrels" / "dev.tsv").unlink()
    assert retrieve(tmp_path)[0]["test"]["bm25"]["queries"] == 12
    with pytest.raises(ExperimentError, match=r"has no dev split \(it has test\)"):
        retrieve(tmp_path, "retrieve.split=dev")


def test_an_unknown_split_is_named(tmp_path: Path):
    write_beir_folder(tmp_path / "shapes")
    with pytest.raises(ExperimentError, match=r"retrieve\.split is 'eval': it must be one of train, dev, test"):
        retrieve(tmp_path, "retrieve.split=eval")


def test_queries_without_a_relevant_passage_count_as_0_on_demand_as_ir_measures_counts_them(tmp_path: Path):
    import ir_measures

    folder = write_beir_folder(tmp_path / "shapes")
    path = folder / "qrels" / "test.tsv"
    header, *lines = path.read_text().splitlines()
    lines = [line.rpartition("\t")[0] + ("\t0" if i < 3 else "\t1") for i, line in enumerate(lines)]
    path.write_text("\n".join([header, *lines]) + "\n")
    left_out, _ = retrieve(tmp_path)
    counted, place = retrieve(tmp_path, "data.without_relevant=count_as_zero")
    for metrics, queries in ((left_out, 9), (counted, 12)):
        assert (metrics["test"]["bm25"]["queries"], metrics["test"]["bm25"]["without_relevant"]) == (queries, 3)
    assert counted["test"]["bm25"]["RR@10"] == pytest.approx(left_out["test"]["bm25"]["RR@10"] * 9 / 12)
    judged = [ir_measures.Qrel(query, passage, int(grade)) for query, passage, grade in map(str.split, lines)]
    ranked = list(ir_measures.read_trec_run(str(place / "run.bm25.trec.gz")))
    theirs = ir_measures.calc_aggregate([ir_measures.RR @ 10], judged, ranked)[ir_measures.RR @ 10]
    assert counted["test"]["bm25"]["RR@10"] == pytest.approx(theirs)
    assert verify_job(place, InputLoader()).differences == ()


def test_a_run_of_nothing_scores_0(tmp_path: Path):
    folder = write_beir_folder(tmp_path / "shapes")
    lines = [json.loads(line) for line in (folder / "queries.jsonl").open()]
    (folder / "queries.jsonl").write_text("".join(json.dumps({**one, "text": "zzz"}) + "\n" for one in lines))
    metrics, place = retrieve(tmp_path)
    assert metrics["test"]["bm25"]["RR@10"] == 0.0
    assert verify_job(place, InputLoader()).differences == ()
