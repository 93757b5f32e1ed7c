"""Studies side by side, from their folders, from W&B's offline records and from its server."""

import sys
from pathlib import Path
from typing import Any

import pytest
import wandb
from helpers.study_folder import write_job, write_unfinished_job
from helpers.wandb_api import UploadedRun, log_job, server_of, uploaded
from helpers.wandb_records import UNREACHABLE, WELL_FORMED_KEY, isolated_wandb

from experiments.analysis.combine import combine
from experiments.analysis.findings import Findings
from experiments.common.errors import ExperimentError
from experiments.compare import main
from experiments.tracking import wandb_records
from experiments.tracking.wandb_records import offline_runs

BETTER = {"q1": 1.0, "q2": 0.75, "q3": 1.0, "q4": 0.5}  # mean 0.8125
WORSE = {"q1": 0.25, "q2": 0.25, "q3": 1.0, "q4": 0.0}  # mean 0.375


def cells(findings: Findings) -> list[tuple[Any, Any, float, int]]:
    """Study, loss, mean and number of seeds of every cell."""
    labels = [(result, result.setting.labels) for result in findings.results]
    return [(one.get("study"), one["loss"], result.mean, len(result.setting.jobs)) for result, one in labels]


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder ``outputs`` in the working directory of a machine where nobody is logged in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    return Path("outputs")


class TestFolders:
    def test_one_study_is_as_in_its_report(self, outputs: Path) -> None:
        write_job(outputs / "a", "x", BETTER)
        write_job(outputs / "a", "y", BETTER, labels={"seed": 2})
        combined = combine(["outputs/a"], offline=True)
        findings, remarks = combined.findings, list(combined.remarks)
        assert cells(findings) == [(None, "lce", 0.8125, 2)]
        assert (findings.folder, remarks) == (Path("outputs/a"), [])

    def test_settings_of_two_studies_stand_side_by_side_and_are_not_averaged(self, outputs: Path) -> None:
        write_job(outputs / "a", "x", BETTER)
        write_job(outputs / "b", "x", WORSE)
        findings = combine(["outputs/a", "outputs/b"]).findings
        assert cells(findings) == [("a", "lce", 0.8125, 1), ("b", "lce", 0.375, 1)]

    def test_a_job_that_two_studies_share_is_shown_once_and_said_so(self, outputs: Path) -> None:
        for study in ("a", "b"):
            write_job(outputs / study, "lce-n7-bm25-s1-1a2b3c4d", BETTER)
        write_job(outputs / "b", "bce-n7-bm25-s1-5e6f7a8b", WORSE, labels={"loss": "bce"})
        combined = combine(["outputs/a", "outputs/b"])
        findings, remarks = combined.findings, list(combined.remarks)
        assert cells(findings) == [("b", "bce", 0.375, 1), ("a, b", "lce", 0.8125, 1)]
        assert remarks == ["lce-n7-bm25-s1-1a2b3c4d: the same job in a, b, shown once"]

    def test_a_job_that_failed_in_one_study_and_finished_in_the_other_is_the_latters(self, outputs: Path) -> None:
        write_unfinished_job(outputs / "a", "lce-n7-bm25-s1-1a2b3c4d", "failed", "no space left")
        write_job(outputs / "b", "lce-n7-bm25-s1-1a2b3c4d", BETTER)
        combined = combine(["outputs/a", "outputs/b"])
        findings, remarks = combined.findings, list(combined.remarks)
        assert (cells(findings), remarks) == ([("b", "lce", 0.8125, 1)], [])
        assert [job.state for job in findings.jobs] == ["failed", "finished"]

    def test_a_setting_written_as_1_and_as_1_0_is_one_setting(self, outputs: Path) -> None:
        write_job(outputs / "a", "x", BETTER, config={"optimizer": {"decay": 1.0, "betas": [1.0, 0.9]}})
        write_job(outputs / "b", "x", BETTER, config={"optimizer": {"decay": 1, "betas": [1, 0.9]}})
        findings = combine(["outputs/a", "outputs/b"]).findings
        assert findings.groups[0].axes == ("study",)

    def test_a_folder_named_twice_is_one_study(self, outputs: Path) -> None:
        write_job(outputs / "a", "x", BETTER)
        assert cells(combine(["outputs/a", "outputs/a"]).findings) == [(None, "lce", 0.8125, 1)]

    def test_two_folders_of_one_name_cannot_be_told_apart(self, outputs: Path) -> None:
        write_job(outputs / "a", "x", BETTER)
        write_job(outputs / "old" / "a", "x", WORSE)
        with pytest.raises(ExperimentError, match=r"have one name \(a, a\): rename"):
            combine(["outputs/a", "outputs/old/a"])

    def test_studies_without_a_finished_job_say_why(self, outputs: Path) -> None:
        write_unfinished_job(outputs / "a", "x", "failed", "no space left")
        with pytest.raises(ExperimentError, match="of a has finished; x failed: no space left"):
            combine(["outputs/a"])


class TestOffline:
    def test_a_group_is_the_folder_of_its_name_in_outputs(self, outputs: Path) -> None:
        write_job(outputs / "a", "x", BETTER)
        assert cells(combine(["a"], offline=True).findings) == [(None, "lce", 0.8125, 1)]

    @pytest.mark.parametrize(("offline", "why"), [(True, "--offline is set"), (False, "nobody is logged in")])
    def test_a_group_that_is_not_there_says_where_was_looked(self, outputs: Path, offline: bool, why: str) -> None:
        with pytest.raises(ExperimentError, match=f"no folder a or outputs/a.*{why}"):
            combine(["a"], offline=offline)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with W&B's records of the group ``losses``: two jobs that finished, of which one at its second attempt,
    and one that crashed.
    """
    root = tmp_path_factory.mktemp("logged")
    lce = write_job(root / "losses", "lce-n7-bm25-s1-1a2b3c4d", BETTER)
    bce = write_job(root / "losses", "bce-n7-bm25-s1-5e6f7a8b", WORSE, labels={"loss": "bce"})
    crashed = write_job(root / "losses", "bce-n7-bm25-s2-0badcafe", WORSE, labels={"loss": "bce", "seed": 2})
    with isolated_wandb(tmp_path_factory.mktemp("home")):
        for job in (lce, crashed):
            with pytest.raises(RuntimeError):
                log_job(job, root, RuntimeError("out of memory"))
        log_job(bce, root)
        log_job(lce, root)
    return root


class TestRecords:
    def test_the_last_attempt_of_a_run_counts(self, logged: Path) -> None:
        runs = offline_runs(logged / "wandb")
        assert [(run.name, run.state, run.summary["error"]) for run in runs] == [
            ("bce-n7-bm25-s2-0badcafe", "failed", "RuntimeError: out of memory"),
            ("bce-n7-bm25-s1-5e6f7a8b", "finished", None),
            ("lce-n7-bm25-s1-1a2b3c4d", "finished", None),
        ]

    def test_a_folder_and_records_of_the_same_jobs_can_stand_together(self, logged: Path, outputs: Path) -> None:
        write_job(outputs / "again", "lce-n7-bm25-s1-1a2b3c4d", BETTER)
        combined = combine(["outputs/again", str(logged / "wandb")])
        findings, remarks = combined.findings, list(combined.remarks)
        assert cells(findings) == [("losses", "bce", 0.375, 1), ("again, losses", "lce", 0.8125, 1)]
        assert len(remarks) == 1


@pytest.fixture(scope="module")
def runs(logged: Path) -> list[UploadedRun]:
    return uploaded(logged)


@pytest.fixture
def logged_in(runs: list[UploadedRun], tmp_path: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Somebody is logged in, and W&B's server holds the group ``losses`` of ``team/rerank-ablations``."""
    with isolated_wandb(tmp_path, WANDB_API_KEY=WELL_FORMED_KEY):
        server = server_of(runs)
        monkeypatch.setattr(wandb, "Api", lambda timeout: server)
        yield server


class TestServer:
    def test_a_group_is_read_from_the_server(self, logged_in: Any) -> None:
        findings = combine(["losses"]).findings
        assert cells(findings) == [(None, "bce", 0.375, 1), (None, "lce", 0.8125, 1)]
        assert [(job.name, job.error) for job in findings.jobs if not job.finished] == [
            ("bce-n7-bm25-s2-0badcafe", "RuntimeError: out of memory")
        ]

    def test_a_group_and_a_folder_stand_together(self, logged_in: Any) -> None:
        write_job(Path("outputs/new"), "lce-n7-bm25-s9-99999999", BETTER, labels={"seed": 9})
        findings = combine(["losses", "outputs/new"]).findings
        assert cells(findings) == [("losses", "bce", 0.375, 1), ("losses", "lce", 0.8125, 1), ("new", "lce", 0.8125, 1)]

    def test_a_group_that_wandb_does_not_have_is_named_with_where_it_was_looked_for(self, logged_in: Any) -> None:
        with pytest.raises(ExperimentError, match="no run of the group 'nothing' in team/rerank-ablations: see --proj"):
            combine(["nothing"])

    def test_an_account_without_an_entity_needs_one_named(self, logged_in: Any) -> None:
        logged_in.default_entity = None
        with pytest.raises(ExperimentError, match="name the user or team with --entity"):
            combine(["losses"])
        assert len(combine(["losses"], entity="team").findings.results) == 2

    def test_what_wandbs_client_raises_is_one_line(self, logged_in: Any) -> None:
        logged_in.runs.side_effect = ValueError("Could not find project x")
        with pytest.raises(ExperimentError, match="W&B does not answer: Could not find project x; --offline"):
            combine(["losses"])


def test_without_a_network_the_way_offline_is_named(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_records, "TIMEOUT_S", 1.0)
    with (
        isolated_wandb(tmp_path, WANDB_API_KEY=WELL_FORMED_KEY, WANDB_BASE_URL=UNREACHABLE),
        pytest.raises(ExperimentError, match=r"W&B does not answer: .*--offline reads outputs/GROUP"),
    ):
        combine(["losses"])


class TestCommand:
    def test_it_prints_the_tables_and_writes_nothing_by_itself(
        self, outputs: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_job(outputs / "a", "x", BETTER)
        write_job(outputs / "b", "x", WORSE)
        assert main(["outputs/a", "outputs/b"]) == 0
        rows = [line.split()[:4] for line in capsys.readouterr().out.splitlines()]
        assert ["lce", "7", "a", "0.812"] in rows
        assert ["lce", "7", "b", "0.375"] in rows
        assert sorted(path.name for path in Path().iterdir()) == ["outputs"]

    def test_it_names_what_it_read_with_the_number_of_jobs(
        self, outputs: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_job(outputs / "a", "x", BETTER)
        write_unfinished_job(outputs / "a", "y", "failed", "no space left")
        write_job(outputs / "b", "x", WORSE)
        assert main(["outputs/a", "b", "--offline"]) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[:2] == ["outputs/a: 2 jobs, 1 finished", "outputs/b: 1 job, 1 finished"]

    def test_out_is_where_the_tables_are_written(self, outputs: Path) -> None:
        for study in ("a", "b"):
            write_job(outputs / study, "lce-n7-bm25-s1-1a2b3c4d", BETTER)
        assert main(["outputs/a", "outputs/b", "--out", "both"]) == 0
        assert Path("both/compare.md").read_text().rstrip().endswith("the same job in a, b, shown once")
        header, _, row = Path("both/compare.csv").read_text().splitlines()
        assert (
            dict(zip(header.split(","), row.replace('"a, b"', "a and b").split(","), strict=True))["study"] == "a and b"
        )

    def test_what_cannot_be_compared_is_one_line_on_stderr_and_exit_code_2(
        self, outputs: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["nowhere", "--offline"]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1

    def test_a_workspace_is_of_one_study(self, outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write_job(outputs / "a", "x", BETTER)
        write_job(outputs / "b", "x", WORSE)
        assert main(["outputs/a", "outputs/b", "--workspace"]) == 2
        assert "name one group or folder" in capsys.readouterr().err

    def test_a_workspace_without_its_package_names_the_extra_after_the_tables(
        self, outputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
        write_job(outputs / "a", "x", BETTER)
        assert main(["outputs/a", "--workspace", "--entity", "team"]) == 2
        captured = capsys.readouterr()
        assert "BM25 re-ranked" in captured.out
        assert "rerank-ablations[workspaces]" in captured.err
