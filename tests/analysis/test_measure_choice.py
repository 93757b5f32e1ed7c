"""Which measure a report shows where jobs have several, or are relevant from different grades on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.study_folder import FIRST_STAGE, write_job

from experiments.analysis.findings import findings_of
from experiments.analysis.load import JobResult
from experiments.analysis.measure_choice import first_measure, measure_of
from experiments.common.errors import ExperimentError
from experiments.job_files.per_query import PerQuery

BETTER = {"q1": 1.0, "q2": 0.75, "q3": 1.0, "q4": 0.5}


def job(*measures: str, min_grade: int | None = None, name: str = "a") -> JobResult:
    config: dict[str, Any] = {} if min_grade is None else {"data": {"min_grade": min_grade}}
    values = dict.fromkeys(measures, np.array([0.5]))
    return JobResult(Path(name), "finished", config=config, per_query={"bm25": PerQuery(("q1",), values, values)})


def test_the_first_that_all_jobs_have():
    assert first_measure([job("RR@100", "RR@10"), job("RR@100", "RR@10")]) == "RR@100"
    assert first_measure([job("RR@100", "RR@10", "AP"), job("AP", "RR@10")]) == "RR@10"
    assert first_measure([]) is None


def test_measures_of_different_grades_are_one_by_their_name_in_a_config():
    jobs = [job("RR@10", "AP"), job("RR(rel=2)@10", "AP(rel=2)", min_grade=2)]
    assert first_measure(jobs) == "RR@10"
    assert [measure_of([one], "bm25", "RR@10") for one in jobs] == ["RR@10", "RR(rel=2)@10"]
    assert measure_of(jobs[1:], "bm25", "MAP") == "AP(rel=2)"


def test_no_measure_in_common_names_two_jobs():
    with pytest.raises(ExperimentError, match=r"jobs a and b have no measure in common \(RR@10; nDCG@10\)"):
        first_measure([job("RR@10"), job("nDCG@10", name="b")])


def test_jobs_of_an_earlier_version_are_read_by_the_name_they_have():
    assert measure_of([job("MRR@10")], "bm25", "MRR@10") == "MRR@10"
    assert measure_of([job("RR@10", min_grade=2)], "bm25", "RR@10") == "RR@10"  # it was measured from grade 1 on


def test_data_sets_with_grades_of_their_own_stand_in_one_study(tmp_path: Path):
    for name, measure, grade in (("plain", "RR@10", 1), ("graded", "RR(rel=2)@10", 2)):
        config = {"data": {"min_grade": grade}, "measures": ["RR@10"]}
        write_job(tmp_path / "s", name, BETTER, measure=measure, labels={"data": name}, config=config)
    found = findings_of(tmp_path / "s")
    assert [(block.data, block.measure) for block in found.groups] == [("graded", "RR(rel=2)@10"), ("plain", "RR@10")]
    assert found.measure == "RR(rel=2)@10 and RR@10"


@pytest.mark.parametrize("measure", [None, "RR@10", "RR(rel=2)@10", "nDCG@10"])
def test_one_data_set_measured_from_two_grades_is_refused(tmp_path: Path, measure: str | None):
    for name, own, grade in (("b", "RR@10", 1), ("a", "RR(rel=2)@10", 2)):
        config = {"data": {"min_grade": grade}, "measures": ["RR@10"]}
        write_job(tmp_path / "s", name, FIRST_STAGE, measure=own, config=config)
    with pytest.raises(
        ExperimentError, match=r"^the jobs b and a on apidocs have data\.min_grade 1 and 2: they cannot"
    ):
        findings_of(tmp_path / "s", measure)
