"""``python -m experiments.study keep`` of a study that has run, and ``verify`` of what it kept."""

import zipfile
from pathlib import Path

import pytest
from helpers.studies import job

from experiments import report, study


@pytest.fixture
def here(finished: tuple[list[str], Path], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """The folder of a study that has run, below the working directory, as its collection and its backbone are."""
    base = tmp_path_factory.getbasetemp()
    monkeypatch.chdir(base)
    return finished[1].relative_to(base)


def test_a_kept_study_is_reported_as_its_folder_is(here: Path, tmp_path: Path):
    report.main([str(here), "--out", str(tmp_path / "folder")])
    assert study.main(["keep", str(here), "--to", str(tmp_path)]) == 0
    report.main([str(tmp_path / "both.zip"), "--out", str(tmp_path / "archive")])
    for name in ("table.md", "table.csv"):
        assert (tmp_path / "archive" / name).read_bytes() == (tmp_path / "folder" / name).read_bytes()


def test_without_runs_means_are_verified(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    study.main(["keep", str(here), "--to", str(tmp_path)])
    capsys.readouterr()
    assert study.main(["verify", str(tmp_path / "both.zip")]) == 0
    assert capsys.readouterr().out == (
        "2 jobs verified: 16 means recomputed from the values by query, no drift; "
        "the runs themselves are not kept (study keep --runs)\n"
    ), "2 x 4 measures, of the run and of the first stage"


def test_with_runs_all_is_verified(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    study.main(["keep", str(here), "--to", str(tmp_path), "--runs"])
    capsys.readouterr()
    assert study.main(["verify", str(tmp_path / "both.zip")]) == 0
    assert capsys.readouterr().out == "2 jobs verified: 2 runs, 96 values, no drift\n"


def test_an_edited_archive_is_found_by_job_and_measure(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    study.main(["keep", str(here), "--to", str(tmp_path)])
    with zipfile.ZipFile(tmp_path / "both.zip") as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    name = job(here, "lce").name
    header, first, *rest = files[f"{name}/per_query.bm25.tsv"].split("\n")
    query, value, *others = first.split("\t")
    edited = "\t".join([query, repr(float(value) + 0.5), *others])
    files[f"{name}/per_query.bm25.tsv"] = "\n".join([header, edited, *rest])
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    capsys.readouterr()
    assert study.main(["verify", str(tmp_path / "both.zip")]) == 1
    difference, last = capsys.readouterr().out.splitlines()
    assert difference.startswith(f"{name}: metrics.json, test.bm25.RR@10: expected ")
    assert "1 difference" in last


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["keep", "quickstart"], "keep takes the folder of a study that was run, such as outputs/quickstart"),
        (["status", "quickstart", "--to", "x"], "--to and --runs are for keep, not for status"),
        (["verify", "sweeps/results/none.zip"], "there is no file sweeps/results/none.zip"),
    ],
)
def test_what_the_user_can_mend_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert study.main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", ["keep", "rerun-failed"])
def test_an_archive_is_neither_kept_nor_run(
    here: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
):
    study.main(["keep", str(here), "--to", str(tmp_path)])
    assert study.main([command, str(tmp_path / "both.zip")]) == 2
    assert f"{command} takes the folder of a study, not an archive" in capsys.readouterr().err


def test_help_names_it_and_its_options(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        study.main(["--help"])
    said = capsys.readouterr().out
    assert all(word in said for word in ("keep  ", "--to FOLDER", "--runs"))
