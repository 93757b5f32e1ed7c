"""The sentence at the top of every report."""

from pathlib import Path

import pytest
import yaml
from helpers.findings import TABLE, small_findings
from helpers.study_folder import FIRST_STAGE, write_job, write_two_seeds, write_unfinished_job

from experiments.analysis.findings import findings_from, findings_of
from experiments.analysis.load import read_study
from experiments.reporting.headline import details, headline


def write_seeds(study: Path, gain: float, **labels: object) -> None:
    """Three seeds, each ahead of the first stage by the same gain on every query, give or take a hundredth."""
    for seed in (1, 2, 3):
        values = {query: value + gain + 0.01 * (seed - 2) for query, value in FIRST_STAGE.items()}
        write_job(study, f"{gain}-{seed}", values, labels={"seed": seed, **labels})


def test_without_claims_it_says_how_the_best_setting_does_against_the_reference(tmp_path: Path):
    write_seeds(tmp_path, 0.25)
    write_seeds(tmp_path, 0.125, loss="bce")
    found = headline(findings_of(tmp_path))
    assert found.startswith(
        "lce, n = 7 (BM25 re-ranked) has the highest MRR@10 on apidocs, 0.688, significantly better than BM25: +0.250 ["
    )


def test_it_says_so_where_nothing_is_significant(tmp_path: Path):
    write_two_seeds(tmp_path, "a", {**FIRST_STAGE, "q4": 0.4})
    assert "0.537, but does not differ significantly from BM25: +0.100 [-0.218, +0.418], p" in headline(
        findings_of(tmp_path)
    )


def test_one_seed_is_said_to_say_nothing_of_others_and_has_no_significance(tmp_path: Path):
    write_job(tmp_path, "a", {query: value + 0.25 for query, value in FIRST_STAGE.items()})
    assert headline(findings_of(tmp_path)) == (
        "lce, n = 7 (BM25 re-ranked) has the highest MRR@10 on apidocs, 0.688; its difference to BM25 is "
        "+0.250 [+0.250, +0.250], over queries, this seed only: one seed says nothing of others."
    )


def test_where_the_reference_is_the_best_nothing_beats_it(tmp_path: Path):
    write_seeds(tmp_path, 0.25)
    write_seeds(tmp_path, 0.0, loss="bce")
    (tmp_path / "table.yaml").write_text("{title: t, source: s, reference: {loss: lce}}")
    assert headline(findings_of(tmp_path)).startswith("No setting is better than the reference: lce, n = 7 (BM25 re-")


def test_of_one_claim_it_says_the_verdict_and_the_details_have_the_best_setting_and_the_jobs(tmp_path: Path):
    findings = small_findings(tmp_path / "s")
    assert headline(findings) == "The claim that LCE beats BCE is undecided."
    best, jobs = details(findings)
    assert best.startswith("lce, n = 7 (BM25 re-ranked) has the highest MRR@10 on apidocs, 0.562; its difference")
    assert jobs == "2 jobs, all finished. 1 published value has no finished job."


def test_several_claims_are_counted(tmp_path: Path):
    claim = TABLE["claims"][0]
    unknown = claim | {"better": {"loss": "hinge"}, "says": "hinge beats BCE"}
    findings = small_findings(tmp_path / "s", table=TABLE | {"claims": [claim, claim, unknown]})
    assert headline(findings) == "Of 3 claims, 2 are undecided and 1 is not measured yet."


@pytest.mark.parametrize("state", ["failed", "running"])
def test_before_any_job_has_finished_there_is_nothing_to_report(tmp_path: Path, state: str):
    write_unfinished_job(tmp_path / "s", "a", state, "no space left")
    (tmp_path / "s" / "table.yaml").write_text(yaml.safe_dump({"title": "t", "source": "s"}))
    findings = findings_from(read_study(tmp_path / "s"), tmp_path / "s", None)
    assert headline(findings).startswith("No job has finished yet")
    assert details(findings) == [f"0 of 1 job finished; 1 {state}."]
