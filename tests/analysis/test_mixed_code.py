"""Results of several revisions of the code say so where they stand next to each other."""

import json
from pathlib import Path

from helpers.findings import BCE, LCE, note_origin, write_study
from helpers.page import Page
from rich.console import Console

from experiments.analysis.findings import Findings, findings_of
from experiments.reporting.page.page import page_of
from experiments.reporting.summary import markdown, print_findings

MIXED = "These jobs were run by 2 revisions of the code: 0123456789ab (1 job), fedcba987654+ (1 job)."


def everywhere(findings: Findings, folder: Path) -> list[str]:
    """What is read in the terminal, in Markdown and on the page."""
    with (folder / "terminal.txt").open("w") as file:
        print_findings(findings, Console(file=file, width=200, highlight=False))
    return [(folder / "terminal.txt").read_text(), markdown(findings), Page(page_of(findings, [])).words]


def test_two_revisions_are_told_under_the_tables(tmp_path: Path):
    study = write_study(tmp_path / "study")
    note_origin(study / LCE, git="fedcba987654+")
    for text in everywhere(findings_of(study), tmp_path):
        assert MIXED in text


def test_one_revision_is_not(tmp_path: Path):
    for text in everywhere(findings_of(write_study(tmp_path / "study")), tmp_path):
        assert "revisions of the code" not in text


def test_outside_a_checkout_the_versions_of_the_package_are_told(tmp_path: Path):
    study = write_study(tmp_path / "study")
    for job, version in ((BCE, "0.1.0"), (LCE, "0.2.0")):
        path = study / job / "status.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "git": None, "version": version}))
    assert "revisions of the code: version 0.1.0 (1 job), version 0.2.0 (1 job)." in markdown(findings_of(study))
