"""Whole jobs that learn from a file of scores or a run, and what is refused before one is trained."""

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.jobs import run, tiny_overrides

from experiments.common.errors import ExperimentError
from experiments.data.pair_values import PairValues, rows_of
from experiments.data.score_store import KIND
from experiments.job_files.status import DONE, status_of

Job = tuple[dict[str, object], Path]


def ids_in(data: Path, name: str) -> list[str]:
    return [json.loads(line)["_id"] for line in (data / f"{name}.jsonl").open()]


def value_of(query: str, passage: str) -> float:
    """5 for the answer, else a number from 0 to 3 that follows from the ids."""
    return 5.0 if query == f"{passage}-q" else sum(map(ord, query + passage)) % 16 / 5


def lines_of(data: Path, line: Callable[[str, str], str]) -> list[str]:
    return [line(query, passage) for query in ids_in(data, "queries") for passage in ids_in(data, "corpus")]


def scores(data: Path, path: Path, leave_out: Callable[[str, str], bool] = lambda query, passage: False) -> Path:
    """Every query with every passage, but for some pairs."""
    pairs = lines_of(data, lambda query, passage: "" if leave_out(query, passage) else f"{query}\t{passage}\t")
    path.write_text("".join(f"{pair}{value_of(*pair.split(chr(9))[:2])}\n" for pair in pairs if pair))
    return path


@pytest.fixture
def overrides(tmp_path: Path, data: Path, backbone: Path) -> list[str]:
    return tiny_overrides(tmp_path, data, backbone)


def test_a_job_learns_from_a_file_and_runs_again_when_it_is_edited(
    overrides: list[str], tmp_path: Path, data: Path, caplog: pytest.LogCaptureFixture
):
    path = scores(data, tmp_path / "scores.tsv")
    job = [*overrides, "loss=mse", f"loss.teacher={path}"]
    metrics, folder = run(job)
    inputs = json.loads((folder / "status.json").read_text())["inputs"]
    assert list(inputs) == ["collection", "backbone", "loss", "code", "loss.teacher"]
    assert "data.teacher_formats 1" in inputs["code"]
    assert not (folder.parents[1] / "for_loss").exists(), "no teacher is trained"
    with caplog.at_level(logging.INFO):
        assert run(job)[0] == metrics
        assert "loss.teacher changed" not in caplog.text
        path.write_text(path.read_text().replace("\t5.0\n", "\t4.0\n"))
        assert run(job)[0] != metrics
    assert "loss.teacher changed since this job was finished: it runs again" in caplog.text


def test_the_scores_of_a_model_written_down_teach_what_the_model_teaches(overrides: list[str], data: Path):
    teacher = run([*overrides, "seed=2"])[1] / "model"
    learns = [*overrides, "loss=margin_mse"]
    live, live_folder = run([*learns, f"loss.teacher={teacher}"])
    (part,) = (live_folder.parents[2] / "cache" / KIND).glob("*/keys.npy")
    queries, passages = ids_in(data, "queries"), ids_in(data, "corpus")
    values = PairValues.load(part.parent, len(passages))
    pairs = zip(*rows_of(values.keys_P, len(passages)), values.values_P.tolist(), strict=True)
    written = [f"{queries[query]}\t{passages[passage]}\t{value!r}\n" for query, passage, value in pairs]
    (path := live_folder.parents[2] / "written.tsv").write_text("".join(written))
    from_file, folder = run([*learns, f"loss.teacher={path}"])
    assert (from_file["test"], from_file["dev"]) == (live["test"], live["dev"])
    assert losses_of(folder) == losses_of(live_folder)


def losses_of(folder: Path) -> list[str]:
    with (folder / "history.tsv").open(encoding="utf-8") as file:
        return [row["loss"] for row in csv.DictReader(file, delimiter="\t")]


def test_a_run_teaches_by_its_scores_or_by_its_ranks(overrides: list[str], tmp_path: Path, data: Path):
    path = tmp_path / "teacher.run"
    path.write_text("".join(lines_of(data, lambda q, p: f"{q} Q0 {p} 1 {value_of(q, p)} x\n")))
    job = [*overrides, "loss=distill_ranknet", f"loss.teacher={path}"]
    by_score, _ = run(job)
    by_rank, _ = run([*job, "loss.teacher_file.value=rank"])
    assert by_score["labels"] == by_rank["labels"]
    assert by_score["test"] != by_rank["test"], "passages of equal scores have different ranks"


def of_circles(query: str, passage: str) -> bool:
    return "circle" in query


def test_a_pair_without_a_value_stops_before_anything_is_trained(overrides: list[str], tmp_path: Path, data: Path):
    path = scores(data, tmp_path / "scores.tsv", leave_out=of_circles)
    message = (
        r"loss\.teacher: .*scores\.tsv has no value of \d+ of the \d+ pairs that are trained on, such as query "
        r"'circle-\d-\w+-q' with passage '[a-z]+-\d-\w+': .*, or set loss\.teacher_file\.missing=mask to leave"
    )
    with pytest.raises(ExperimentError, match=message):
        run([*overrides, "loss=mse", f"loss.teacher={path}"])
    assert list((tmp_path / "outputs").rglob("checkpoints/*")) == []


def test_pairs_without_a_value_are_left_out_if_they_may_be(
    overrides: list[str], tmp_path: Path, data: Path, caplog: pytest.LogCaptureFixture
):
    path = scores(data, tmp_path / "scores.tsv", leave_out=of_circles)
    job = [*overrides, f"loss.teacher={path}", "loss.teacher_file.missing=mask"]
    with caplog.at_level(logging.WARNING):
        _, folder = run([*job[:-2], "loss=adr_mse", *job[-2:]])
    assert status_of(folder).state == DONE
    assert "pairs that are trained on, such as query 'circle-" in caplog.text
    assert "the loss leaves them out" in caplog.text
    with pytest.raises(ExperimentError, match=r"loss=margin_mse cannot leave out pairs .*such as loss=distill_ranknet"):
        run([*job[:-2], "loss=margin_mse", *job[-2:]])


def test_a_file_that_has_few_of_the_pairs_is_refused(overrides: list[str], tmp_path: Path, data: Path):
    path = scores(data, tmp_path / "scores.tsv", leave_out=lambda query, passage: not of_circles(query, passage))
    job = [*overrides, "loss=mse", f"loss.teacher={path}", "loss.teacher_file.missing=mask"]
    message = r"of the \d+ pairs .*: that leaves \d+\.\d%, less than loss\.teacher_file\.coverage=0\.5; .*or lower"
    with pytest.raises(ExperimentError, match=message):
        run(job)
    none = scores(data, tmp_path / "none.tsv", leave_out=lambda query, passage: query != ids_in(data, "queries")[-1])
    with pytest.raises(ExperimentError, match=r"that leaves 0\.0%"):  # of a test query alone
        run([*job, f"loss.teacher={none}", "loss.teacher_file.coverage=0"])


def test_a_file_for_another_collection_is_refused(overrides: list[str], tmp_path: Path):
    path = tmp_path / "other.tsv"
    path.write_text("1048585\t7187158\t9.5\n")
    with pytest.raises(
        ExperimentError, match=r"none of its 1 query ids is of the collection 'shapes', such as '1048585'"
    ):
        run([*overrides, "loss=mse", f"loss.teacher={path}"])


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, r"loss\.teacher: there is no file .*scores\.tsv"), ("", r"loss\.teacher: the file .*scores\.tsv is empty")],
)
def test_a_file_that_is_not_there_is_named(overrides: list[str], tmp_path: Path, text: str | None, message: str):
    if text is not None:
        (tmp_path / "scores.tsv").write_text(text)
    with pytest.raises(ExperimentError, match=message):
        run([*overrides, "loss=mse", f"loss.teacher={tmp_path / 'scores.tsv'}"])
