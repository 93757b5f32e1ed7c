"""What a study's page knows of single queries, and how large that gets."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.findings import BCE, LCE, answer, small_findings, write_answers_file, write_study
from helpers.page import Page
from helpers.study_folder import FIRST_STAGE, write_job

from experiments.analysis.findings import findings_of
from experiments.common.errors import ExperimentError
from experiments.reporting.page import queries as queries_module
from experiments.reporting.page.page import write_page
from experiments.reporting.page.queries import by_spread, cut, queries_payload


def test_queries_are_chosen_by_how_far_the_jobs_lie_apart():
    values_JQ = np.array([[0.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.1, 1.0, 0.5], [0.2, 0.0, 0.5]])
    assert by_spread(values_JQ) == [1, 0, 2]


def test_among_queries_of_one_range_those_come_first_on_which_the_jobs_disagree_most():
    values_JQ = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert by_spread(values_JQ) == [1, 0]


def test_each_value_is_stored_as_a_place_among_the_distinct_ones(tmp_path: Path):
    (stage,) = queries_payload(small_findings(tmp_path / "s"))["stages"]
    assert [name for name, _ in stage["jobs"]] == ["first_stage", BCE, LCE]
    assert [label for _, label in stage["jobs"]] == ["BM25 itself", "bce, n = 7, seed 1", "lce, n = 7, seed 1"]
    assert stage["ids"] == ["q1", "q2", "q3", "q4"]
    values = [[stage["levels"][place] for place in places] for places in stage["values"]]
    assert values == [[0.5, 0.25, 1.0, 0.0], [0.5, 1.0, 0.25, 0.0], [1.0, 0.25, 1.0, 0.0]]


def test_the_first_stage_and_the_best_job_are_compared_at_first(tmp_path: Path):
    (stage,) = queries_payload(small_findings(tmp_path / "s"))["stages"]
    assert [stage["jobs"][place][0] for place in stage["start"]] == ["first_stage", LCE]


def test_a_passage_that_several_jobs_show_is_stored_once(tmp_path: Path):
    payload = queries_payload(small_findings(tmp_path / "s"))
    ids = [one for one, _ in payload["passages"]]
    assert sorted(ids) == sorted(f"{query}-{which}" for query in FIRST_STAGE for which in ("relevant", "bce", "lce"))
    of_query = {query: ranked for query, _, ranked in payload["stages"][0]["texts"]}
    relevant, first = of_query[0][1]
    # place, rank in the job, rank in the first stage, relevant or not
    assert relevant == [ids.index("q1-relevant"), 2, 3, 1]
    assert first == [ids.index("q1-bce"), 1, 9, 0]


def test_a_job_without_answers_still_has_its_values(tmp_path: Path):
    study = write_study(tmp_path / "s")
    (study / BCE / "answers.bm25.jsonl.gz").unlink()
    (stage,) = queries_payload(findings_of(study))["stages"]
    assert len(stage["values"]) == 3
    assert all(ranked[1] is None and ranked[2] is not None for _, _, ranked in stage["texts"])


def test_a_malformed_line_of_answers_is_named(tmp_path: Path):
    study = write_study(tmp_path / "s")
    path = study / BCE / "answers.bm25.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"query": "q1"}\n'))
    with pytest.raises(ExperimentError, match=r"answers\.bm25\.jsonl\.gz, line 1"):
        queries_payload(findings_of(study))


def test_texts_stop_where_their_share_of_the_page_is_used_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    findings = small_findings(tmp_path / "s")
    # q1: the query takes 12 bytes, its three passages more; the second is what exceeds the limit
    monkeypatch.setattr(queries_module, "TEXT_BYTES", 60)
    (stage,) = queries_payload(findings)["stages"]
    assert len(stage["texts"]) == 1
    assert len(stage["values"][0]) == 4


def test_no_more_queries_than_the_limit_have_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(queries_module, "QUERIES", 2)
    (stage,) = queries_payload(small_findings(tmp_path / "s"))["stages"]
    # LCE and BCE differ by 0.75 on both q2 and q3
    assert {stage["ids"][query] for query, _, _ in stage["texts"]} == {"q2", "q3"}


def test_long_passages_are_cut():
    assert cut("a" * 280) == "a" * 280
    assert cut("a" * 281) == "a" * 279 + "…"


@pytest.mark.slow
def test_thirty_jobs_on_seven_thousand_queries_make_a_page_below_fifteen_megabytes(tmp_path: Path):
    queries = [f"query-{number}" for number in range(7000)]
    before = dict.fromkeys(queries, 0.5)
    generator = np.random.default_rng(0)
    for number in range(30):
        values = dict(zip(queries, (1 / generator.integers(1, 11, len(queries))).tolist(), strict=True))
        labels = {"negatives": 1 + number % 10, "seed": number // 10}
        job = write_job(tmp_path / "s", f"job-{number:02}", values, first_stage_values=before, labels=labels)
        write_answers_file(job, [long_answer(query, number) for query in queries])
    path = write_page(findings_of(tmp_path / "s"), (), tmp_path / "page.html")
    assert path.stat().st_size < 15_000_000
    (stage,) = json.loads(Page(path.read_text(encoding="utf-8")).scripts[0])["stages"]
    assert len(stage["texts"]) == queries_module.QUERIES
    assert len(stage["values"][0]) == 7000


def long_answer(query: str, number: int) -> Any:
    """An answer whose passages are as long as they get, and another for each job."""
    one = answer(query, str(number))
    return replace(one, top=tuple(replace(passage, text=passage.text.ljust(400, "x")) for passage in one.top))
