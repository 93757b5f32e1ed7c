"""An archive is reported, compared, loaded and looked at as its study's folder is."""

import shutil
from pathlib import Path

import pytest
from helpers.findings import LCE, write_study

import experiments
from experiments import compare, report, study
from experiments.common.errors import ExperimentError

ARCHIVE = "sweeps/results/losses.zip"


@pytest.fixture(autouse=True)
def _kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The study ``outputs/losses`` in the working directory, and its archive."""
    monkeypatch.chdir(tmp_path)
    write_study(Path("outputs/losses"))
    assert study.main(["keep", "outputs/losses"]) == 0


def test_its_tables_are_the_study_s_byte_for_byte():
    report.summarise(Path("outputs/losses"))
    names = ("table.md", "table.csv", "table.tex")
    before = {name: Path("outputs/losses", name).read_bytes() for name in names}
    shutil.rmtree("outputs")
    report.summarise(Path(ARCHIVE))
    assert {name: Path("outputs/losses", name).read_bytes() for name in names} == before


def test_its_page_names_the_commands_on_the_archive():
    *_, page = report.summarise(Path(ARCHIVE), out=Path("there"))
    assert page == Path("there/report.html")
    assert f"python -m experiments.study verify {ARCHIVE}" in page.read_text()


@pytest.mark.parametrize("place", ["outputs/losses", ARCHIVE])
def test_a_report_can_be_written_elsewhere(place: str, capsys: pytest.CaptureFixture[str]):
    shutil.rmtree("there", ignore_errors=True)
    assert report.main([place, "--out", "there"]) == 0
    assert Path("there/table.md").is_file()
    assert not Path("outputs/losses/table.md").exists()
    assert capsys.readouterr().out.rstrip().endswith("there/report.html")


def test_it_is_compared_and_named_as_it_was_given(capsys: pytest.CaptureFixture[str]):
    assert compare.main([ARCHIVE]) == 0
    assert capsys.readouterr().out.startswith(f"{ARCHIVE}: 2 jobs, 2 finished\n")


def test_it_is_loaded_in_a_notebook():
    loaded = experiments.load(ARCHIVE)
    assert loaded.sources == (f"{ARCHIVE}: 2 jobs, 2 finished",)
    assert {row.loss: row["mean"] for _, row in loaded.settings.iterrows()} == {"bce": 0.4375, "lce": 0.5625}


def test_status_says_that_its_jobs_are_done(capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    assert study.main(["status", ARCHIVE]) == 0
    assert capsys.readouterr().out.endswith("2 jobs: 2 done\n")


@pytest.mark.parametrize("command", [report.main, compare.main, lambda words: study.main(["verify", *words])])
def test_an_archive_that_cannot_be_read_is_one_line_and_exit_code_2(command, capsys: pytest.CaptureFixture[str]):
    Path(ARCHIVE).write_bytes(b"no zip")
    capsys.readouterr()
    assert command([ARCHIVE]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {ARCHIVE} is damaged or no zip file")
    assert said.count("\n") == 1


def test_loading_such_an_archive_raises_the_same():
    Path(ARCHIVE).write_bytes(b"no zip")
    with pytest.raises(ExperimentError, match=rf"{ARCHIVE} is damaged or no zip file"):
        experiments.load(ARCHIVE)


def test_keep_says_where_it_wrote_and_what_it_left_out(capsys: pytest.CaptureFixture[str]):
    Path("outputs/losses", LCE, "status.json").write_text('{"state": "failed", "error": "no space left"}')
    capsys.readouterr()
    assert study.main(["keep", "outputs/losses", "--to", "there"]) == 0
    left_out, written = capsys.readouterr().out.splitlines()
    assert left_out == f"not kept, since it is failed: {LCE}"
    assert written.startswith("there/losses.zip: 1 job, ")
