"""A saved model may name classes of sentence-transformers alone, and code of its own is never asked for."""

import json
import sys
from pathlib import Path

import pytest

from experiments.common.errors import ExperimentError
from experiments.pretrained.encoder import load_sentence_transformer
from experiments.pretrained.source import Source
from experiments.pretrained.tokenizer import tokenizer_of


@pytest.mark.parametrize("kind", ["SentenceTransformer", "MultiVectorEncoder"])
def test_a_class_of_another_package_is_refused_before_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    (tmp_path / "planted.py").write_text("raise SystemExit('the module was run')\n")
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    modules = [{"idx": 0, "name": "0", "path": "", "type": "planted.Module"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ExperimentError, match=r"modules\.json names planted\.Module, which is not of sentence_transf"):
        load_sentence_transformer(Source(str(folder), "model.path", "give another"), kind, "cpu")
    assert "planted" not in sys.modules


def test_code_of_a_models_own_is_refused_without_a_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def asked(*_: object) -> str:
        raise AssertionError("transformers asked on the terminal")

    monkeypatch.setattr("builtins.input", asked)
    (tmp_path / "planted.py").write_text("raise SystemExit('the module was run')\n")
    own = {"AutoConfig": "planted.Config", "AutoModel": "planted.Model", "AutoTokenizer": ["planted.Tokenizer", None]}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "planted", "auto_map": own}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"auto_map": own, "tokenizer_class": "Tokenizer"}))
    with pytest.raises(ExperimentError, match=r"model\.path cannot be loaded"):
        tokenizer_of(Source(str(tmp_path), "model.path", "give another"))
