"""Digests of files, folders of weights, hub models and code: equal for equal content, another for any edit."""

import importlib.util
import json
import os
import shutil
from pathlib import Path

import pytest
from helpers.edits import edit_in_place

from experiments.common import cache
from experiments.common.cache import Cache, content_digest, file_digest, thorough
from experiments.common.code_versions import loss_digest, source_digest, versions
from experiments.common.model_files import changes, folder_digest, hub_commit, model_digest
from experiments.models.colbert.config import ColBERTConfig
from experiments.models.cross_encoder.config import CrossEncoderConfig


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
    assert "teacher" not in plain, "jobs without one do not run again for it"
    filtered = versions(ColBERTConfig, filters=True, teacher=False, probes=True, retrievers={})
    assert "negatives.filters 1" in filtered
    assert "models.colbert.lightning_module 1" in filtered
    assert "cross_encoder" not in filtered
    settings = {"filters": False, "probes": False, "retrievers": {}}
    from_model = versions(CrossEncoderConfig, teacher=True, **settings)
    assert "models.teacher 1" in from_model
    assert "data.teacher_formats" not in from_model
    from_file = versions(CrossEncoderConfig, teacher=False, teacher_file=True, **settings)
    assert "data.teacher_formats 1" in from_file
    assert "models.teacher 1" not in from_file


def test_a_large_file_of_a_new_entry_is_not_read_again_at_its_first_opening(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store, read = Cache(tmp_path / "store"), []

    def noted(path: Path) -> str:
        read.append(path.name)
        return file_digest(path)

    monkeypatch.setattr(cache, "file_digest", noted)
    for _ in range(2):
        store.get("kind", {"of": "a test"}, lambda folder: shutil.copy(large, folder / "copy"))
        assert read == ["copy"]
    assert (store.builds, store.hits) == ({"kind": 1}, {"kind": 1})
