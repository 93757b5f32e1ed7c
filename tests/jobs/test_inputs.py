"""A job runs again when anything that decides its numbers has changed, says what, and for nothing else."""

import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.edits import edit_in_place
from helpers.jobs import composed, job_override, run, tiny_overrides
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from experiments.common.model_files import resolved
from experiments.config import compose
from experiments.config.identity import job_hash


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, data: Path, backbone: Path) -> Path:
    """A folder with data, backbone and a scorer of its own, to be edited, and a finished job."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(data, folder / "data")
    shutil.copytree(backbone, folder / "bert")
    torch.manual_seed(1)
    scorer = AutoModelForSequenceClassification.from_pretrained(folder / "bert", num_labels=1)
    shutil.copytree(folder / "bert", folder / "scorer")
    scorer.save_pretrained(folder / "scorer")
    run(overrides(folder))
    return folder


@pytest.fixture
def copied(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That folder as it was, put back afterwards under its own name: paths are part of what identifies a job."""
    shutil.copytree(own, tmp_path / "kept", copy_function=shutil.copy2)
    yield own
    shutil.rmtree(own)
    shutil.move(tmp_path / "kept", own)


def overrides(folder: Path) -> list[str]:
    margin = ["negatives.filter.absolute_margin=-1000", f"negatives.filter.scorer={folder / 'scorer'}"]
    return [*tiny_overrides(folder, folder / "data", folder / "bert"), *margin]


def other_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({name: -one for name, one in weights.items()}, folder / "model.safetensors", metadata={"format": "pt"})


def said(caplog: pytest.LogCaptureFixture, folder: Path) -> tuple[list[str], dict[str, Any]]:
    """What is said of a change as the job is run, and its status."""
    with caplog.at_level(logging.INFO):
        _, job = run(overrides(folder))
    lines = [one.getMessage() for one in caplog.records if "since this job was finished" in one.getMessage()]
    return [line.partition(": ")[2] for line in lines], json.loads((job / "status.json").read_text())


def test_all_inputs_are_noted(own: Path):
    (status,) = own.rglob("status.json")
    noted = json.loads(status.read_text())["inputs"]
    assert list(noted) == ["collection", "backbone", "loss", "code", "negatives.filter.scorer"]
    assert "bm25 " in noted["code"]
    assert "models.pair_scorer " in noted["code"]


@pytest.mark.parametrize(("what", "name"), [("bert", "backbone"), ("scorer", "negatives.filter.scorer")])
def test_other_weights_under_the_same_path_run_the_job_again_and_it_says_why(
    copied: Path, caplog: pytest.LogCaptureFixture, what: str, name: str
):
    assert said(caplog, copied)[0] == []
    before = said(caplog, copied)[1]
    other_weights(copied / what)
    lines, status = said(caplog, copied)
    assert lines == [f"{name} changed since this job was finished: it runs again"]
    assert {key for key in before["inputs"] if before["inputs"][key] != status["inputs"][key]} == {name}


def test_a_passage_edited_at_the_same_size_and_time_runs_the_job_again(copied: Path, caplog: pytest.LogCaptureFixture):
    edit_in_place(copied / "data" / "corpus.jsonl", b"scribes", b"monkeys")
    assert said(caplog, copied)[0] == ["collection changed since this job was finished: it runs again"]


def test_what_decides_nothing_does_not(copied: Path, caplog: pytest.LogCaptureFixture):
    (copied / "bert" / "README.md").write_text("a card")
    (copied / "bert" / "optimizer.pt").write_bytes(b"moments")
    for path in (*copied.glob("data/**/*"), *copied.glob("bert/*")):
        os.utime(path)
    assert said(caplog, copied)[0] == []


def test_the_same_collection_elsewhere_is_not_read_again(own: Path, tmp_path: Path):
    shutil.copytree(own / "data", tmp_path / "elsewhere")
    compose.register()
    config = compose.plain(composed("data=beir", f"data.path={tmp_path / 'elsewhere'}"))
    source = compose.source_of(compose.restored(config))
    original = compose.source_of(compose.restored({**config, "data": _moved(config["data"], own / "data")}))
    assert source.fingerprint() == original.fingerprint()


def _moved(data: dict[str, Any], path: Path) -> dict[str, Any]:
    return {**data, "path": str(path), "source": {**data["source"], "path": str(path)}}


@pytest.mark.parametrize(
    "spelled", ["{0}/bert", "{0}/./bert", "{0}/data/../bert", "bert", "./bert", "data/../bert", "link/bert"]
)
def test_a_path_is_the_same_however_it_is_spelled_and_from_wherever(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelled: str
):
    (own / "link").symlink_to(own)
    try:
        monkeypatch.chdir(own)
        path = spelled.format(own)
        expected = job_hash(compose.plain(composed(*overrides(own))))
        changed = [one for one in overrides(own) if not one.startswith("backbone.path")]
        assert job_hash(compose.plain(composed(*changed, f"backbone.path={path}"))) == expected
        assert job_hash(compose.plain(composed(*changed, "backbone.path=link/data"))) != expected
        unnamed = [one for one in changed if not one.startswith("backbone.name")]
        hashes = {job_hash(compose.plain(composed(*unnamed, f"backbone.path={one}"))) for one in (path, own / "bert")}
        assert len(hashes) == 1, "the name that follows from the path is the same too"
    finally:
        (own / "link").unlink()


def test_every_place_of_a_config_is_found(own: Path, monkeypatch: pytest.MonkeyPatch):
    """Also in the overrides of a job that is to be trained first."""
    monkeypatch.chdir(own)
    spellings = [("bert", "scorer", "data"), tuple(str(own / name) for name in ("bert", "scorer", "data"))]
    hashes = set()
    for bert, scorer, data in spellings:
        job = f"loss=lce backbone=local backbone.path={bert} backbone.name=x"
        given = [
            "data=beir", f"data.path={data}", "backbone=local", f"backbone.path={bert}", "backbone.name=x",
            "loss=margin_mse", job_override("loss.job", job), "negatives.filter.absolute_margin=0",
            f"negatives.filter.scorer={scorer}", "retriever=[bm25,dense]", "first_stage=[dense]",
            f"retrievers.dense.checkpoint={bert}",
        ]  # fmt: skip
        hashes.add(job_hash(compose.plain(composed(*given))))
    assert len(hashes) == 1


def test_hub_ids_catalogue_ids_and_names_are_no_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for place in ("bert-base-uncased", "microsoft/deberta-v3-base", "ir_datasets:msmarco-passage/dev/small"):
        assert resolved(place) == place
    assert resolved("models/missing/bert") == str(tmp_path.resolve() / "models" / "missing" / "bert")


# --- digests of content
