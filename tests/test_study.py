"""``python -m experiments.study``: whole studies on a tiny BERT, planned, run, broken, mended, verified.

Hydra's multirun runs in this process where a test is not about processes.
"""

import functools
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.jobs import ROOT, tiny_overrides
from helpers.tiny import write_beir_folder, write_tiny_bert

from experiments import study
from experiments.composition import CONF
from experiments.studies import multirun
from experiments.studies.state import state_of

BOTH = ["loss=bce,lce", "study=both"]  # what most tests run: two jobs


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in BEIR's layout."""
    return write_beir_folder(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A random BERT in Hugging Face format."""
    texts = [json.loads(line)["text"] for name in ("corpus", "queries") for line in (data / f"{name}.jsonl").open()]
    return write_tiny_bert(tmp_path_factory.mktemp("bert"), texts)


@pytest.fixture
def overrides(tmp_path: Path, data: Path, backbone: Path) -> list[str]:
    return tiny_overrides(tmp_path, data, backbone)


def in_this_process(command: Sequence[str], gate: Any) -> int:
    """What ``run_to_end`` does with ``python -m experiments.train -m ...``, without the start of another Python."""
    from experiments import launch, train

    before, sys.argv = sys.argv, ["train", "--config-path", str(CONF), *command[3:]]
    try:
        launch.entry(train.main)
    except SystemExit as end:
        return int(end.code or 0)
    except (Exception, KeyboardInterrupt) as error:  # what Python would print before it exits with 1
        print(error, file=sys.stderr)
        return 1
    finally:
        sys.argv = before
    return 0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multirun, "run_to_end", in_this_process)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setenv("EXPERIMENTS_JOBS", "?")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> tuple[list[str], Path]:
    """The overrides and the folder of a study that has run."""
    overrides = [*tiny_overrides(tmp_path_factory.mktemp("finished"), data, backbone), *BOTH]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multirun, "run_to_end", in_this_process)
        patch.setenv("HYDRA_FULL_ERROR", "1")
        patch.setenv("EXPERIMENTS_JOBS", "?")
        assert study.main(["run", "--no-report", *overrides]) == 0
    (outputs,) = (one.partition("=")[2] for one in overrides if one.startswith("outputs="))
    return overrides, Path(outputs, "both")


@pytest.fixture
def copied(finished: tuple[list[str], Path], tmp_path: Path) -> Path:
    """The folder of that study, to spoil."""
    return Path(shutil.copytree(finished[1], tmp_path / "both"))


def broken(monkeypatch: pytest.MonkeyPatch, loss: str, error: BaseException) -> None:
    """Let a loss raise an error."""
    from experiments.losses import bce, lce

    module = {"bce": bce, "lce": lce}[loss]

    @functools.wraps(getattr(module, loss))
    def raising(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(module, loss, raising)


def states(folder: Path) -> dict[str, str]:
    """The loss of each job that Hydra made a folder of -> where the job stands."""
    return {path.name.partition("-")[0]: state_of(path).word for path in sorted(folder.iterdir()) if path.is_dir()}


def job(folder: Path, loss: str) -> Path:
    (found,) = folder.glob(f"{loss}-*")
    return found


# --- plan ---


def test_a_plan_names_each_job_with_what_varies_and_its_cost_and_runs_nothing(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    others = [one for one in overrides if one != "negatives.count=3"]
    assert study.main(["plan", *others, "loss=bce,lce", "negatives.count=1,3"]) == 0
    said = capsys.readouterr().out
    rows = [line.split() for line in said.splitlines() if "loss=" in line]
    assert [row[2:7] for row in rows] == [
        ["loss=bce", "negatives.count=1", "missing", "32", "64"],
        ["loss=bce", "negatives.count=3", "missing", "32", "128"],
        ["loss=lce", "negatives.count=1", "missing", "32", "64"],
        ["loss=lce", "negatives.count=3", "missing", "32", "128"],
    ]
    assert "4 jobs: 4 missing" in said
    assert "time: no measurement yet" in said
    assert not (tmp_path / "outputs").exists()


def test_a_plan_estimates_time_from_finished_jobs_and_leaves_out_what_is_done(
    finished: tuple[list[str], Path], capsys: pytest.CaptureFixture[str]
):
    overrides, folder = finished
    assert study.main(["plan", *overrides, "seed=1,2"]) == 0
    said = capsys.readouterr().out
    assert "4 jobs: 2 done, 2 missing; what is done is skipped" in said
    assert "to do: 64 groups, 256 pairs trained on, 560 scored" in said, "2 x (12 x 10 test + 2 x 8 x 10 dev)"
    assert "(from 2 finished jobs of the same kind)" in said
    spent = json.loads((job(folder, "bce") / "compute.json").read_text())
    assert (spent["groups"], spent["pairs"]) == (32, 128), "what the plan says of one job is what it did"


def test_a_job_that_others_need_first_is_planned_once(overrides: list[str], capsys: pytest.CaptureFixture[str]):
    colbert = (
        "retrievers.colbert.job='model=colbert model.max_length=48 model.max_query_tokens=16 budget.size=16 "
        f"batch.size=8 validation.times=1 {overrides[2]} {overrides[3]} {overrides[4]}'"
    )
    assert study.main(["plan", *overrides, "retriever=[bm25,colbert]", "first_stage=[colbert]", colbert, BOTH[0]]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "-n" in line]
    assert [row[0] for row in rows] == ["first", "1", "2"]
    assert rows[0][1].startswith("colbert-lce-")
    assert rows[0][2:6] == ["for", "retrievers.colbert", "missing", "16"]


# --- run, status, rerun-failed ---


def test_a_study_that_ran_is_done(finished: tuple[list[str], Path], capsys: pytest.CaptureFixture[str]):
    overrides, folder = finished
    assert states(folder) == {"bce": "done", "lce": "done"}
    assert not list(folder.glob(".launch-*")), "the gate is gone"
    assert study.main(["status", *overrides]) == 0
    by_grid = capsys.readouterr().out
    assert "2 jobs: 2 done" in by_grid
    assert study.main(["status", str(folder)]) == 0
    assert capsys.readouterr().out == by_grid


@pytest.mark.usefixtures("quick")
def test_a_study_that_is_run_again_does_nothing_twice_and_ends_with_its_report(
    finished: tuple[list[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    overrides, folder = finished
    reported: list[list[str]] = []
    monkeypatch.setattr("experiments.report.main", lambda arguments: reported.append(arguments) or 0)
    before = (job(folder, "lce") / "status.json").stat().st_mtime_ns
    assert study.main(["run", *overrides]) == 0
    assert capsys.readouterr().out.startswith("2 jobs: 2 done; what is done is skipped\n")
    assert (job(folder, "lce") / "status.json").stat().st_mtime_ns == before
    assert reported == [[str(folder)]]


@pytest.mark.usefixtures("quick")
def test_a_job_that_fails_leaves_the_others_done_and_is_mended_when_its_cause_is(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    study_of, folder = [*overrides, *BOTH], tmp_path / "outputs" / "both"
    with pytest.MonkeyPatch.context() as patch:
        broken(patch, "bce", RuntimeError("out of memory\nin layer 7"))
        assert study.main(["run", "--no-report", *study_of]) == 1
    assert states(folder) == {"bce": "failed", "lce": "done"}
    assert "failed   RuntimeError: out of memory" in capsys.readouterr().out
    assert study.main(["rerun-failed", *study_of]) == 0
    assert states(folder) == {"bce": "done", "lce": "done"}
    assert json.loads((job(folder, "bce") / "status.json").read_text())["attempts"] == 2
    assert json.loads((job(folder, "lce") / "status.json").read_text())["attempts"] == 1
    capsys.readouterr()
    assert study.main(["rerun-failed", *study_of]) == 0
    assert capsys.readouterr().out == "nothing to rerun: no job has failed or was interrupted\n"


@pytest.mark.usefixtures("quick")
def test_after_a_failure_no_job_starts_if_it_is_to_fail_fast_and_only_the_failed_one_is_rerun(
    overrides: list[str], tmp_path: Path
):
    folder = tmp_path / "outputs" / "both"
    with pytest.MonkeyPatch.context() as patch:
        broken(patch, "bce", RuntimeError("out of memory"))
        assert study.main(["run", "--fail-fast", "--no-report", *overrides, *BOTH]) == 1
    assert states(folder) == {"bce": "failed", "lce": "missing"}
    assert study.main(["rerun-failed", str(folder)]) == 0, "from the overrides that Hydra kept in the job's folder"
    assert states(folder) == {"bce": "done", "lce": "missing"}


@pytest.mark.usefixtures("quick")
def test_an_interrupted_job_is_no_failed_one_and_is_rerun(overrides: list[str], tmp_path: Path):
    folder = tmp_path / "outputs" / "both"
    with pytest.MonkeyPatch.context() as patch:
        broken(patch, "bce", KeyboardInterrupt())
        assert study.main(["run", "--no-report", *overrides, *BOTH]) == 130
    assert states(folder)["bce"] == "interrupted"
    assert study.main(["rerun-failed", *overrides, *BOTH]) == 0
    assert states(folder)["bce"] == "done"


@pytest.mark.usefixtures("quick")
def test_a_job_that_could_not_begin_says_why(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from experiments import launch
    from experiments.errors import ExperimentError

    def no_parts(*args: Any) -> None:
        raise ExperimentError("the retriever of negatives is not there")

    monkeypatch.setattr(launch, "parts_of", no_parts)
    assert study.main(["run", "--no-report", *overrides, "study=both"]) == 1
    assert "failed   the retriever of negatives is not there" in capsys.readouterr().out


def test_a_job_whose_overrides_make_another_one_today_is_not_rerun_as_that(
    copied: Path, capsys: pytest.CaptureFixture[str]
):
    folder = job(copied, "bce")
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"state": "failed"}))
    assert study.main(["rerun-failed", str(copied)]) == 2
    assert "its overrides (data=beir" in (said := capsys.readouterr().err)
    assert "make another job today" in said


# --- verify ---


def drift(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What verify says of a study that has drifted, the summary apart, without the names of jobs."""
    capsys.readouterr()
    assert study.main(["verify", str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"{len(lines) - 1} difference" in lines[-1]
    return [line.partition(": ")[2] for line in lines[:-1]]


def test_results_as_they_were_written_are_verified(
    finished: tuple[list[str], Path], capsys: pytest.CaptureFixture[str]
):
    overrides, folder = finished
    for what in ([str(folder)], overrides):
        assert study.main(["verify", *what]) == 0
        assert capsys.readouterr().out == "2 jobs verified: 2 runs, 96 values, no drift\n", (
            "2 x 12 queries x 4 measures"
        )


def test_an_edited_value_of_a_query_is_found(copied: Path, capsys: pytest.CaptureFixture[str]):
    path = job(copied, "bce") / "per_query.bm25.tsv"
    lines = path.read_text().split("\n")
    query, value, *rest = lines[1].split("\t")
    lines[1] = "\t".join([query, f"{float(value) + 1e-4:.6g}", *rest])
    path.write_text("\n".join(lines))
    (found,) = drift(copied, capsys)
    expected, said = f"{float(value):.6g}", f"{float(value) + 1e-4:.6g}"
    assert found == f"per_query.bm25.tsv, query {query}, RR@10: expected {expected}, found {said}"


def test_an_edited_run_is_found_by_the_queries_that_it_changes(copied: Path, capsys: pytest.CaptureFixture[str]):
    folder = job(copied, "bce")
    rows = (folder / "per_query.bm25.tsv").read_text().splitlines()[1:]
    query = next(row.split("\t")[0] for row in rows if float(row.split("\t")[1]) == 1.0)
    path = folder / "run.bm25.trec.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    of_query = [i for i, line in enumerate(lines) if line.split()[0] == query]
    first, last = of_query[0], of_query[-1]
    best, worst = lines[first].split(), lines[last].split()
    best[2], worst[2] = worst[2], best[2]
    lines[first], lines[last] = " ".join(best), " ".join(worst)
    path.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n"))
    found = drift(copied, capsys)
    assert f"per_query.bm25.tsv, query {query}, RR@10: expected {1 / len(of_query):.6g}, found 1" in found
    assert any(line.startswith("metrics.json, test.bm25.RR@10: expected") for line in found)
    assert all(f"query {query}" in line or line.startswith("metrics.json") for line in found)


def test_an_edited_mean_is_found(copied: Path, capsys: pytest.CaptureFixture[str]):
    path = job(copied, "lce") / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["test"]["bm25"]["AP"] = 0.99
    metrics["test"]["bm25"]["first_stage"]["AP"] = 0.98
    path.write_text(json.dumps(metrics))
    own, first = drift(copied, capsys)
    assert own.startswith("metrics.json, test.bm25.AP: expected 0.")
    assert own.endswith("found 0.99")
    assert first.startswith("metrics.json, test.bm25.first_stage.AP: expected 0.")


def test_a_config_that_is_not_the_jobs_is_found(copied: Path, capsys: pytest.CaptureFixture[str]):
    folder = job(copied, "lce")
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("lr: 0.001", "lr: 0.002"))
    (found,) = drift(copied, capsys)
    assert found.startswith("config.yaml is not what the folder is named after")
    assert f"hash: expected {folder.name.rpartition('-')[2]}, found " in found


def test_another_collection_is_said_to_be_another_and_nothing_is_scored_against_it(
    copied: Path, capsys: pytest.CaptureFixture[str]
):
    path = job(copied, "lce") / "status.json"
    status = json.loads(path.read_text())
    now, status["inputs"]["collection"] = status["inputs"]["collection"], "0123456789abcdef"
    path.write_text(json.dumps(status))
    (found,) = drift(copied, capsys)
    assert found.startswith(
        "status.json, fingerprint of the collection shapes (its files have changed, or the packages"
    )
    assert found.endswith(f"expected 0123456789abcdef, found {now}")


def test_a_job_that_cannot_be_verified_does_not_keep_the_others_from_it(
    copied: Path, capsys: pytest.CaptureFixture[str]
):
    (job(copied, "bce") / "run.bm25.trec.gz").unlink()
    (job(copied, "lce") / "config.yaml").write_text("{")
    missing, unreadable = drift(copied, capsys)
    assert missing == "first stage bm25: run.bm25.trec.gz is missing"
    assert unreadable.startswith("it cannot be verified: config.yaml cannot be read")


# --- the command line ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plna", "quickstart"], "invalid choice: 'plna'"),
        (["plan"], "plan what? Name a sweep ("),
        (["plan", "quikstart"], "there is no sweep 'quikstart': did you mean quickstart?"),
        (["plan", "sweeps=quikstart"], "there is no sweep 'quikstart': did you mean quickstart?"),
        (["run", "quickstart", "see=2"], "there is no key see; the keys are"),
        (["run", "quickstart", "negatives.cuont=2"], "there is no key negatives.cuont"),
        (["plan", "loss=bce,lxe"], "Could not find 'loss/lxe'"),
        (["plan", "quickstart", "--fast"], "unrecognized arguments: --fast"),
        (["status", "--fail-fast", "quickstart"], "--fail-fast is for run and rerun-failed, not for status"),
        (["verify", "--no-report", "quickstart"], "--no-report is for run, not for verify"),
        (["status", "no/such/folder"], "there is no folder no/such/folder"),
        (["run", "no/such/folder"], "run takes a sweep or overrides, not a folder"),
        (["status", "no/such/folder", "seed=1"], "no/such/folder is a folder: give it alone"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    try:
        code = study.main(arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("argument", ["quickstart", "sweeps=quickstart", "+sweeps=quickstart"])
def test_a_sweep_is_named_in_three_ways(argument: str):
    assert study.override_of(argument) == "+sweeps=quickstart"


@pytest.mark.parametrize("argument", ["seed=1,2", "+data.source.x=1", "~logger", "hydra/launcher=joblib"])
def test_overrides_are_hydras_as_they_stand(argument: str):
    assert study.override_of(argument) == argument


def test_the_status_of_a_sweep_is_told_without_importing_torch():
    code = "import sys\nfrom experiments import study\nassert study.main(['status', 'quickstart']) == 0\n"
    code += "print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.splitlines()[-1] == "False"


# --- processes ---


def started(command: str, overrides: Sequence[str]) -> "subprocess.Popen[bytes]":
    """A study command as a process of its own, in a group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.study", command, "--no-report", *overrides],
        cwd=ROOT,
        start_new_session=True,
    )


def wait_for_step(folder: Path, process: "subprocess.Popen[bytes]") -> None:
    """Until a job in the folder has written a checkpoint."""
    end = time.monotonic() + 100
    while not list(folder.glob("*/checkpoints/last.ckpt")):
        assert process.poll() is None, "it ended before it was half-way"
        assert time.monotonic() < end, "no job came half-way"
        time.sleep(0.05)


def processes_of(folder: Path) -> list[int]:
    """The processes whose command or open files name a folder: jobs, workers and their parents."""
    found = subprocess.run(["ps", "-eww", "-o", "pid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in found.splitlines()]
    return [int(row[0]) for row in rows if len(row) == 3 and str(folder) in row[2] and not row[1].startswith("Z")]


@pytest.mark.slow
def test_a_job_killed_half_way_is_interrupted_and_a_second_run_takes_it_up(
    overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    long = [*overrides, "budget.size=4000", "validation.times=100", "study=killed"]
    folder = tmp_path / "outputs" / "killed"
    process = started("run", long)
    wait_for_step(folder, process)
    for one in processes_of(tmp_path):
        if one != process.pid:
            os.kill(one, signal.SIGKILL)
    assert process.wait(60) == 1
    assert study.main(["status", *long]) == 0
    said = capsys.readouterr().out
    assert "interrupted" in said
    assert "of 4,000 groups" in said
    assert started("run", long).wait(120) == 0
    (job_folder,) = (path.parent for path in folder.glob("*/status.json"))
    assert json.loads((job_folder / "status.json").read_text())["attempts"] == 2
    assert state_of(job_folder).word == "done"


@pytest.mark.slow
def test_a_study_told_to_stop_leaves_no_worker_behind(overrides: list[str], tmp_path: Path):
    side_by_side = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=1,2,3,4", "study=stopped"]
    process = started("run", [*overrides, "budget.size=40000", "validation.times=1000", *side_by_side])
    folder = tmp_path / "outputs" / "stopped"
    wait_for_step(folder, process)
    group = int(subprocess.run(
        ["pgrep", "-f", f"experiments.train.*{tmp_path}"], capture_output=True, text=True, check=True
    ).stdout.split()[0])  # fmt: skip
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    alive = subprocess.run(["ps", "-o", "pid=,stat=", "-g", str(group)], capture_output=True, text=True, check=False)
    assert [line for line in alive.stdout.splitlines() if not line.split()[1].startswith("Z")] == []
    words = {state_of(path.parent).word for path in folder.glob("*/status.json")}
    assert words == {"interrupted"}
    assert len(list(folder.glob("*/status.json"))) <= 2, "what had not begun did not begin"
