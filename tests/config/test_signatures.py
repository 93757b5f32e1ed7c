"""Parameters of a part, read from its source without importing it."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest
from helpers.jobs import ROOT

from experiments.config import signatures
from experiments.config.signatures import Parameters, file_of_function, parameters_of, read_parameters

PARTS = "callbacks", "data", "logger", "loss", "optimizer", "retriever", "scheduler", "trainer"
DATACLASS = "from dataclasses import dataclass\n\n@dataclass(frozen=True)\n"
TARGETS = sorted(
    {
        target
        for group in PARTS
        for file in (ROOT / "conf" / group).glob("*.yaml")
        for target in re.findall(r"_target_: *([\w.]+)", file.read_text(encoding="utf-8"))
    }
)


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_read_of_every_part_in_conf_is_what_importing_it_tells(target: str):
    kinds = {name: found.kind for name, found in inspect.signature(resolve_name(target)).parameters.items()}
    open_ended = inspect.Parameter.VAR_KEYWORD in kinds.values()
    assert read_parameters(target) == Parameters(tuple(kinds), open_ended)


def test_reading_imports_neither_torch_nor_lightning():
    code = (
        "import sys; from experiments.config.signatures import parameters_of; "
        "print(parameters_of('pytorch_lightning.Trainer').names[:2], parameters_of('torch.optim.SGD').names[:2], "
        "{'torch', 'pytorch_lightning'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "('accelerator', 'strategy') ('params', 'lr') set()\n"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a module, ``mine``, that can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(signatures, "READ", ("mine",))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    for cached in (signatures._module, signatures.parameters_of):
        cached.cache_clear()
    return tmp_path / "mine.py"


@pytest.mark.parametrize(
    ("source", "names", "open_ended"),
    [
        ("def part(a, /, b, *c, d=1, **e): ...", ("a", "b", "c", "d", "e"), True),
        ("class part:\n    def __init__(self, a, *, b=2): ...", ("a", "b"), False),
        ("class Above:\n    def __init__(self, a): ...\n\nclass part(Above): ...", ("a",), False),
        (f"{DATACLASS}class part:\n    a: int\n    b: str = ''", ("a", "b"), False),
    ],
)  # fmt: skip
def test_parameters_are_read_from_functions_classes_and_dataclasses(
    written: Path, source: str, names: tuple[str, ...], open_ended: bool
):
    written.write_text(source, encoding="utf-8")
    assert read_parameters("mine.part") == Parameters(names, open_ended)


@pytest.mark.parametrize(
    "source",
    [
        "def other(function):\n    return lambda a: a\n\n@other\ndef part(b): ...",
        "class Of(type):\n    def __call__(cls, a): ...\n\nclass part(metaclass=Of):\n    def __init__(self, b): ...",
        "class part:\n    def __new__(cls, a): ...\n    def __init__(self, b): ...",
        "if True:\n    def part(a): ...",
        "def made():\n    return lambda a: a\n\npart = made()",
        "def part(b): ...\n\npart = lambda a: a",
    ],
)
def test_what_only_importing_can_tell_is_imported(written: Path, source: str):
    written.write_text(source, encoding="utf-8")
    assert read_parameters("mine.part") is None
    assert parameters_of("mine.part").names == ("a",)


def test_the_file_of_a_loss_is_that_of_its_definition():
    file, parameters = file_of_function("experiments.losses.lce.lce") or (None, None)
    assert file == ROOT / "experiments" / "losses" / "lce.py"
    assert parameters is not None
    assert parameters.names[0] == "scores_QN"
