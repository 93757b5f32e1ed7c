"""The page of a study: what stands in it, and that it is one file which asks for nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.findings import LCE, TABLE, note_origin, small_findings, write_study
from helpers.page import Page
from helpers.study_folder import FIRST_STAGE, write_job, write_unfinished_job
from hypothesis import given
from hypothesis import strategies as st

from experiments.analysis.findings import findings_from, findings_of
from experiments.analysis.load import read_study
from experiments.common.cache import fingerprint
from experiments.common.errors import ExperimentError
from experiments.reporting.page.overview import facts_of
from experiments.reporting.page.page import PUBLISHED, SECTIONS, page_of, write_page
from experiments.reporting.page.provenance import commands_of, provenance_of
from experiments.reporting.page.queries import as_json
from experiments.reporting.plots.build import figures_of

HOSTILE = "</script><script>alert('1')</script> \"quoted\" & \u2028\u2029 <!-- <b>"


def parsed(findings: Any, pictures: Any = ()) -> Page:
    return Page(page_of(findings, pictures))


def test_every_section_is_there_with_a_line_on_how_to_read_it(tmp_path: Path):
    page = parsed(small_findings(tmp_path / "s"))
    assert {"summary", *(section.id for section in SECTIONS)} <= set(page.ids)
    assert all(section.reading in page.words for section in SECTIONS)


def test_nothing_is_loaded_from_anywhere_and_ids_are_unique_with_pictures_in_place(tmp_path: Path):
    findings = small_findings(tmp_path / "s")
    pictures = figures_of(findings)
    page = parsed(findings, pictures)
    assert pictures
    assert page.tags.count("figure") == len(pictures)
    assert all(place.startswith("#") for place in page.loads)
    assert len(page.ids) == len(set(page.ids))


def test_the_same_study_gives_the_same_bytes(tmp_path: Path):
    findings = small_findings(tmp_path / "s")
    first = write_page(findings, figures_of(findings), tmp_path / "a.html")
    second = write_page(findings, figures_of(findings), tmp_path / "b.html")
    assert first == tmp_path / "a.html"
    assert first.read_bytes() == second.read_bytes()


def test_hostile_texts_stay_text(tmp_path: Path):
    table = TABLE | {"title": HOSTILE, "notes": HOSTILE}
    text = page_of(small_findings(tmp_path / "s", table=table, texts={"q1": HOSTILE}), ())
    page = Page(text)
    assert page.tags.count("script") == 2
    assert "alert(" not in page.scripts[1]
    assert HOSTILE.split("\u2028")[0] in page.said
    assert "\u2028" not in page.scripts[0]
    assert HOSTILE in [one for _, one, _ in json.loads(page.scripts[0])["stages"][0]["texts"]]


@given(st.text())
def test_any_text_survives_as_json_in_a_script_element(text: str):
    encoded = as_json([text])
    assert not set(encoded) & set("<>&\u2028\u2029")
    assert json.loads(encoded) == [text]


def test_a_lone_surrogate_can_be_written(tmp_path: Path):
    assert json.loads(as_json(["\ud800"])) == ["\ud800"]
    findings = small_findings(tmp_path / "s", table=TABLE | {"title": "x"})
    odd = replace(findings, table=replace(findings.table, title="a\ud800b"))
    assert "a?b" in write_page(odd, (), tmp_path / "p.html").read_text(encoding="utf-8")


def test_the_sentence_on_what_was_found_comes_first_and_then_the_table(tmp_path: Path):
    words = parsed(small_findings(tmp_path / "s")).words
    found, published, results = (
        words.index(text)
        for text in ("The claim that LCE beats BCE is undecided.", "One row per published value", "One row per setting")
    )
    assert found < published < results < words.index("2 finished of 2")


def test_a_study_of_ones_own_has_no_section_and_no_column_of_published_values(tmp_path: Path):
    page = parsed(small_findings(tmp_path / "s", table=None))
    assert PUBLISHED not in page.ids
    assert "ublished" not in page.words


def test_facts_say_what_the_study_is_made_of(tmp_path: Path):
    findings = small_findings(tmp_path / "s", table=TABLE | {"data": "msmarco"})
    assert tuple(facts_of(findings, provenance_of(findings))) == (
        ("Published table", "A paper, Table 3"),
        ("Data", "apidocs; published values: msmarco"),
        ("Measure", "MRR@10"),
        ("Jobs", "2 finished of 2"),
        ("Seeds", "1 (1)"),
        ("Test queries", "4 (BM25 re-ranked)"),
        ("Made", "2026-01-02 03:04 to 03:14 UTC"),
        ("Code", "git 0123456789ab"),
    )


def test_failed_and_missing_jobs_are_counted_and_named_with_why(tmp_path: Path):
    study = write_study(tmp_path / "s")
    write_unfinished_job(study, "lce-n31", "failed", "RuntimeError: out of memory\nand more")
    findings = findings_of(study)
    page = parsed(findings)
    assert "2 of 3 jobs finished; 1 failed." in page.words
    assert "RuntimeError: out of memory" in page.words
    assert "and more" not in page.words


def test_a_study_of_which_nothing_has_finished_has_a_page_that_says_what_to_do(tmp_path: Path):
    write_unfinished_job(tmp_path / "s", "a", "failed", "no space left")
    page = parsed(findings_from(read_study(tmp_path / "s"), tmp_path / "s", None))
    assert "No job has finished yet" in page.words
    assert "no space left" in page.words
    for section in SECTIONS:
        assert section.empty in page.words
    assert PUBLISHED not in page.ids


def test_a_job_is_traced_to_its_run_revision_config_and_inputs(tmp_path: Path):
    config = {"logger": {"mode": "offline"}}
    job = write_job(tmp_path / "s", LCE, FIRST_STAGE, config=config, compute={"device": "cpu", "threads": 2})
    note_origin(job)
    (row,) = provenance_of(findings_of(tmp_path / "s"))
    assert (row.name, row.state, row.why) == (LCE, "finished", "")
    assert row.wandb == fingerprint({"study": "s", "job": LCE})
    assert (row.revision, row.config, row.inputs) == ("0123456789ab", "aaaaaaaa", (("collection", "c0ffee"),))
    assert (row.device, row.threads, row.seconds) == ("cpu", "2", "12")


def test_a_job_that_was_not_logged_has_no_run_to_name(tmp_path: Path):
    assert {row.wandb for row in provenance_of(small_findings(tmp_path / "s"))} == {"-"}


def test_cache_entries_found_and_built_are_counted(tmp_path: Path):
    compute = {"cache_hits": {"run": 3, "tokens": 2}, "cache_builds": {"collection": 1}}
    write_job(tmp_path / "s", "a", FIRST_STAGE, compute=compute)
    assert provenance_of(findings_of(tmp_path / "s"))[0].cache == "5 found, 1 built"


def test_the_launch_that_hydra_noted_is_given_as_a_command(tmp_path: Path):
    launch = {
        "task": ["+sweeps=quickstart", "data.path=my folder"],
        "hydra": ["hydra.mode=MULTIRUN", "hydra/launcher=x"],
    }
    (tmp_path / "multirun.yaml").write_text(yaml.safe_dump({"hydra": {"overrides": launch}}))
    commands = [command for _, command in commands_of(tmp_path)]
    assert commands == [
        "python -m experiments.study run sweeps=quickstart 'data.path=my folder' hydra/launcher=x",
        f"python -m experiments.study verify {tmp_path}",
        f"python -m experiments.report {tmp_path}",
    ]


def test_a_note_of_the_launch_that_is_none_is_named(tmp_path: Path):
    (tmp_path / "multirun.yaml").write_text("hydra: 3")
    with pytest.raises(ExperimentError, match=r"multirun\.yaml is not a launch record of Hydra"):
        commands_of(tmp_path)
