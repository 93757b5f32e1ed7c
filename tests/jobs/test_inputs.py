"""A job runs again when anything that decides its numbers has changed, says what, and for nothing else."""

import importlib.util
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.jobs import composed, job_override, run, tiny_overrides
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from experiments.common import cache
from experiments.common.cache import Cache, content_digest, file_digest, thorough
from experiments.common.code_versions import loss_digest, source_digest, versions
from experiments.common.model_files import changes, folder_digest, hub_commit, model_digest, resolved
from experiments.config import compose
from experiments.config.identity import job_hash
from experiments.models.colbert.config import ColBERTConfig
from experiments.models.cross_encoder.config import CrossEncoderConfig


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


def edit_in_place(path: Path, old: bytes, new: bytes) -> None:
    """Edit a file so that its size and its time of change stay."""
    before, content = path.stat(), path.read_bytes()
    assert old in content
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


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


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of 64 blocks, of which four are sampled."""
    monkeypatch.setattr(cache, "SMALL", 1000)
    monkeypatch.setattr(cache, "BLOCK", 100)
    monkeypatch.setattr(cache, "BLOCKS", 4)
    monkeypatch.setattr(cache._digests, "folder", None)
    Cache(tmp_path / "store")
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(range(64)) * 100)
    return path


def test_the_digest_of_a_large_file_is_of_all_of_it_and_kept(large: Path, tmp_path: Path):
    assert content_digest(large) == file_digest(large)
    (note,) = (tmp_path / "store" / "digests").iterdir()
    note.write_text(note.read_text().replace(file_digest(large), "as noted"))
    assert content_digest(large) == "as noted"
    with thorough():
        assert content_digest(large) == file_digest(large)
    assert content_digest(large) == file_digest(large), "what was worked out is noted"


@pytest.mark.parametrize("at", [0, 2150, 6399])
def test_an_edit_in_place_is_noticed(large: Path, at: int):
    before, state = content_digest(large), large.stat()
    content = bytearray(large.read_bytes())
    content[at] ^= 255
    large.write_bytes(content)
    os.utime(large, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert content_digest(large) == file_digest(large) != before


def test_an_edit_of_a_sampled_block_is_noticed_though_size_and_all_times_are_as_they_were(large: Path, tmp_path: Path):
    content_digest(large)
    (note,) = (tmp_path / "store" / "digests").iterdir()
    content = bytearray(large.read_bytes())
    content[50] ^= 255  # the first block
    large.write_bytes(content)
    state = large.stat()
    noted = json.loads(note.read_text())
    note.write_text(json.dumps({**noted, "times": [state.st_mtime_ns, state.st_ctime_ns, state.st_ino]}))
    assert content_digest(large) == file_digest(large)


def test_a_note_that_was_cut_is_written_anew(large: Path, tmp_path: Path):
    content_digest(large)
    (note,) = (tmp_path / "store" / "digests").iterdir()
    note.write_text(note.read_text()[:20])
    assert content_digest(large) == file_digest(large)
    assert json.loads(note.read_text())["blake2b"] == file_digest(large)


def test_a_folder_of_weights_is_known_by_names_and_contents(tmp_path: Path, backbone: Path):
    shutil.copytree(backbone, tmp_path / "same")
    assert folder_digest(tmp_path / "same") == folder_digest(backbone) == model_digest(str(backbone), None, "x")
    edit_in_place(tmp_path / "same" / "config.json", b'"hidden_dropout_prob": 0.1', b'"hidden_dropout_prob": 0.2')
    assert folder_digest(tmp_path / "same") != folder_digest(backbone)


def test_a_hub_model_is_known_by_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit, model = "0123456789abcdef0123456789abcdef01234567", tmp_path / "models--org--bert"
    (model / "snapshots" / commit).mkdir(parents=True)
    (model / "snapshots" / commit / "config.json").write_text("{}")
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit)
    assert hub_commit("org/bert", None) == commit
    assert model_digest("org/bert", None, "backbone.path") == f"org/bert@{commit}"
    assert hub_commit("org/bert", commit[::-1]) == commit[::-1], "a commit is what it says"
    assert hub_commit("org/other", None) is None
    assert model_digest("org/other", "v2", "backbone.path") == "org/other@unknown:v2"


def test_a_hub_that_cannot_be_asked_is_believed():
    noted = {"backbone": "org/bert@0123", "loss": "a", "old": "b"}
    assert changes(noted, {"backbone": "org/bert@unknown:main", "loss": "a", "old": "b"}) == []
    assert changes(noted, {"backbone": "org/bert@4567", "loss": "c", "new": "d"}) == ["backbone", "loss", "new", "old"]
    assert changes(noted, {"backbone": "org/other@unknown:main", "loss": "a", "old": "b"}) == ["backbone"]


# --- code

LOSS = '''"""A loss."""

from helper_of_this_loss import share


def loss(scores_QN, scale=1.0):
    """The mean."""
    return share(scores_QN).mean() * scale  # scaled
'''


def loss_in(folder: Path, source: str, helper: str = "def share(x):\n    return x\n") -> str:
    folder.mkdir()
    (folder / "helper_of_this_loss.py").write_text(helper)
    (folder / "own_loss.py").write_text(source)
    spec = importlib.util.spec_from_file_location("own_loss", folder / "own_loss.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setitem(__import__("sys").modules, "own_loss", module)
        spec.loader.exec_module(module)
        return loss_digest(module.loss)


def test_edited_code_of_a_loss_counts_and_its_comments_and_layout_do_not(tmp_path: Path):
    digest = loss_in(tmp_path / "a", LOSS)
    tidied = LOSS.replace("  # scaled", "").replace("The mean.", "The scaled mean.").replace("scale=1.0", "scale = 1.0")
    assert loss_in(tmp_path / "b", tidied) == digest
    assert loss_in(tmp_path / "c", LOSS.replace(".mean()", ".sum()")) != digest
    assert loss_in(tmp_path / "d", LOSS.replace("scale=1.0", "scale=2.0")) != digest
    assert loss_in(tmp_path / "e", LOSS, helper="def share(x):\n    return x / 2\n") != digest


def test_a_digest_of_source_is_the_same_with_every_python():
    source = (
        'def f(a: int, *, b="x") -> str:\n    """Say."""\n    return f"{a!r:>{b}} and {b}"\n\n\nclass C:\n    x = 1\n'
    )
    assert source_digest(source) == source_digest(source.replace('"""Say."""\n    ', "")) == "78e955bf305c4fe0"


def test_the_versions_are_those_of_what_the_job_uses():
    plain = versions(CrossEncoderConfig, filters=False, teacher=False, probes=False, retrievers={})
    assert "negatives.sampler 1" in plain
    assert "models.cross_encoder.lightning_module 1" in plain
    assert "colbert" not in plain
    assert "negatives.filters" not in plain
    filtered = versions(ColBERTConfig, filters=True, teacher=False, probes=True, retrievers={})
    assert "negatives.filters 1" in filtered
    assert "models.colbert.lightning_module 1" in filtered
    assert "cross_encoder" not in filtered
