"""A finished job as a PyTerrier transformer. Runs where python-terrier is installed (the extra ``pyterrier``)."""

import gzip
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import run, tiny_overrides

from experiments.common.errors import ExperimentError


@pytest.fixture(scope="module")
def pt() -> Any:
    return pytest.importorskip("pyterrier")


@pytest.fixture(scope="module")
def job(pt: Any, tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> Path:
    return run(tiny_overrides(tmp_path_factory.mktemp("pyterrier"), data, backbone, "budget.size=8"))[1]


@pytest.fixture(scope="module")
def expected(job: Path, data: Path) -> Any:
    """The job's own run as a DataFrame, with queries and texts."""
    import pandas as pd

    texts = {one["_id"]: f"{one['title']} {one['text']}" for one in map(json.loads, (data / "corpus.jsonl").open())}
    queries = {one["_id"]: one["text"] for one in map(json.loads, (data / "queries.jsonl").open())}
    with gzip.open(job / "run.bm25.trec.gz", "rt") as file:
        rows = [line.split() for line in file]
    return pd.DataFrame(
        {
            "qid": [row[0] for row in rows],
            "query": [queries[row[0]] for row in rows],
            "docno": [row[2] for row in rows],
            "text": [texts[row[2]] for row in rows],
            "score": [float(row[4]) for row in rows],
            "rank": [int(row[3]) - 1 for row in rows],  # PyTerrier counts from 0
        }
    )


def test_it_gives_the_scores_and_ranks_of_the_jobs_own_run(job: Path, expected: Any):
    from experiments.pyterrier import Reranker

    mixed = expected.drop(columns=["score", "rank"]).sample(frac=1, random_state=0)
    again = expected[["qid", "docno"]].merge(Reranker(job).transform(mixed), on=["qid", "docno"])
    assert len(again) > 50
    assert again["score"].tolist() == pytest.approx(expected["score"].tolist(), abs=1e-5)
    changed = again["rank"].to_numpy() != expected["rank"].to_numpy()
    assert changed.mean() < 0.05, "but for scores that are equal within the rounding of other batches"


def test_it_is_part_of_a_pipeline(pt: Any, job: Path, expected: Any):
    from experiments.pyterrier import Reranker

    first = pt.Transformer.from_df(expected.assign(score=-expected["rank"])) % 3
    pipeline = first >> pt.apply.rename({"text": "body"}) >> Reranker(str(job), text_field="body")
    queries = expected[["qid", "query"]].drop_duplicates().head(2)
    ranked = pipeline(queries)
    assert len(ranked) == 6
    assert sorted(ranked["rank"]) == [0, 0, 1, 1, 2, 2]
    by_rank = ranked.sort_values(["qid", "rank"])
    assert all((scores.diff().dropna() <= 0).all() for _, scores in by_rank.groupby("qid")["score"])


def test_no_candidates_are_none(job: Path, expected: Any):
    from experiments.pyterrier import Reranker

    none = Reranker(job).transform(expected.head(0))
    assert len(none) == 0
    assert {"qid", "docno", "score", "rank"} <= set(none.columns)


def test_rows_without_texts_are_refused_by_pyterrier(job: Path, expected: Any):
    from experiments.pyterrier import Reranker

    with pytest.raises(KeyError, match="text"):
        Reranker(job).transform(expected.drop(columns="text"))


def test_a_folder_without_a_finished_job_is_refused(pt: Any, tmp_path: Path):
    from experiments.pyterrier import Reranker

    with pytest.raises(ExperimentError, match="is no finished job"):
        Reranker(tmp_path)


def test_without_pyterrier_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyterrier", None)
    monkeypatch.delitem(sys.modules, "experiments.pyterrier", raising=False)
    with pytest.raises(ExperimentError, match=r"pip install 'rerank-ablations\[pyterrier\]'"):
        importlib.import_module("experiments.pyterrier")
