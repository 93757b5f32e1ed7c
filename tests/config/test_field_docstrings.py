"""Every field of a config's dataclass says below it what it means: docs/configuration.md is made from that."""

import ast

import pytest
from helpers.jobs import ROOT

NAMES = ("audit", "compute", "data", "experiment", "model", "negatives", "paper_table", "probe", "training")
FILES = [ROOT / "experiments" / "config" / f"{name}.py" for name in NAMES]
FILES += [ROOT / "experiments" / "data" / "query_split.py"]
FILES += sorted((ROOT / "experiments" / "models").glob("*/config.py"))
FIELDS = [
    (node.name, field.target.id, below)
    for path in FILES
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.ClassDef) and node.name not in ("Optimization", "JudgedQueries")  # no parts of a config
    for field, below in zip(node.body, [*node.body[1:], None], strict=True)
    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    if not (path.parent.parent.name == "models" and (field.target.id == "name" or "ClassVar" in ast.unparse(field)))
]


@pytest.mark.parametrize(("owner", "name", "below"), FIELDS, ids=[f"{owner}.{name}" for owner, name, _ in FIELDS])
def test_a_field_has_a_docstring_below_it(owner: str, name: str, below: ast.stmt | None):
    assert isinstance(below, ast.Expr), f"{owner}.{name} has none"
    assert isinstance(below.value, ast.Constant)
    assert isinstance(below.value.value, str)
    assert below.value.value.strip().endswith(".")
