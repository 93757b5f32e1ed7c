"""The summary of a study as a user calls for it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.study_folder import write_job, write_unfinished_job

from experiments.common.errors import ExperimentError
from experiments.report import main, summarise

BETTER = {"q1": 1.0, "q2": 0.75, "q3": 1.0, "q4": 0.5}


def write_curve(study: Path, measure: str = "RR@10") -> None:
    """Two numbers of negatives."""
    for count in (1, 7):
        write_job(study, f"n{count}", BETTER, labels={"negatives": count}, measure=measure)


def test_it_writes_tables_pictures_and_the_page_into_the_study_and_returns_their_paths(tmp_path: Path) -> None:
    write_curve(tmp_path)
    paths = summarise(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in paths]
    assert names[:3] == ["table.md", "table.csv", "table.tex"]
    assert {"rr10_by_negatives.bm25.png", "rr10_by_negatives.bm25.svg"} < set(names)
    assert names[-1] == "report.html"
    assert all(path.stat().st_size > 0 for path in paths)


def test_it_prints_the_table_and_where_the_files_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_curve(tmp_path)
    assert main([str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert re.search(r"lce +7 +0\.812", output)
    assert output.rstrip().endswith(f"{tmp_path}/report.html")


def test_it_can_be_run_again_on_its_own_folder(tmp_path: Path) -> None:
    write_job(tmp_path, "a", BETTER)
    assert summarise(tmp_path) == summarise(tmp_path)


def test_another_measure_can_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_curve(tmp_path, measure="nDCG@10")
    assert main([str(tmp_path), "--measure", "nDCG@10"]) == 0
    assert "nDCG@10" in capsys.readouterr().out
    assert (tmp_path / "ndcg10_by_negatives.bm25.png").is_file()


def test_a_study_in_which_nothing_has_finished_says_so_and_why(tmp_path: Path) -> None:
    write_unfinished_job(tmp_path, "a", "running")
    write_unfinished_job(tmp_path, "b", "failed", "no space left")
    with pytest.raises(ExperimentError, match=r"has finished \(1 running, 1 failed\); b: no space left"):
        summarise(tmp_path)


@pytest.mark.parametrize(
    ("folder", "complaint"), [("nowhere", "is not a folder"), ("empty", "holds no job"), ("unfinished", "has finished")]
)
def test_what_cannot_be_summarised_is_one_line_on_stderr_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str, complaint: str
) -> None:
    (tmp_path / "empty").mkdir()
    write_unfinished_job(tmp_path / "unfinished", "a", "running")
    assert main([str(tmp_path / folder)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert complaint in captured.err
    assert captured.err.count("\n") == 1


def test_it_starts_without_what_is_slow_to_import() -> None:
    slow = ("torch", "transformers", "pytorch_lightning", "hydra", "matplotlib", "scipy", "wandb")
    program = f"import experiments.report, sys; print([name for name in {slow} if name in sys.modules])"
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
