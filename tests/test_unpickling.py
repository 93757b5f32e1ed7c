"""Nothing that is read from disk is unpickled: no module of the package calls what could, but for weights alone."""

import ast
from pathlib import Path

import pytest
from helpers.jobs import ROOT

FILES = sorted((ROOT / "experiments").rglob("*.py"))
COPIES = ("experiments/config/loader.py",)  # copies of objects within the process, never of a file
UNPICKLING = ("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_unpickles_nothing(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            unpickling = [name for name in names if name.partition(".")[0] in UNPICKLING]
            assert not unpickling or path.relative_to(ROOT).as_posix() in COPIES
        if not isinstance(node, ast.Call):
            continue
        called, options = ast.unparse(node.func), {item.arg: ast.unparse(item.value) for item in node.keywords}
        if called.endswith(("torch.load", "torch_load")):
            assert options.get("weights_only") == "True", f"line {node.lineno}"
        assert options.get("allow_pickle", "False") == "False", f"line {node.lineno}"
        assert options.get("trust_remote_code", "False") == "False", f"line {node.lineno}"
        assert options.get("weights_only", "True") == "True" or called.endswith("save_checkpoint"), (
            f"line {node.lineno}"
        )
        assert called not in ("eval", "exec", "yaml.unsafe_load", "yaml.full_load", "read_pickle"), (
            f"line {node.lineno}"
        )
