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
from experiments.config.annotations import misfit
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

SCALARS = (bool, int, float, str)
VALUES = (None, True, 1, 1.5, "x", [1])
OF_TYPE = {  # which of these values are of a type
    list[int]: [False, False, False, False, False, True],
    str | None: [True, False, False, False, True, False],
    int | None: [True, False, True, False, False, False],
    float | None: [True, False, True, True, False, False],
}


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_read_of_every_part_in_conf_is_what_importing_it_tells(target: str):
    told = inspect.signature(resolve_name(target)).parameters
    read = read_parameters(target)
    assert read is not None
    assert read.names == tuple(told)
    assert read.open_ended == (inspect.Parameter.VAR_KEYWORD in [found.kind for found in told.values()])
    for name, annotation in read.annotations.items():
        imported = told[name].annotation
        if imported in SCALARS:
            assert annotation == imported.__name__
        elif imported in OF_TYPE:
            assert [misfit(value, annotation) is None for value in VALUES] == OF_TYPE[imported]


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
    ("source", "expected"),
    [
        ("def part(a, /, b: int, *c, d=1, **e): ...", Parameters(("a", "b", "c", "d", "e"), True, {"b": "int"})),
        ("class part:\n    def __init__(self, a, *, b=2): ...", Parameters(("a", "b"), False)),
        ("class Above:\n    def __init__(self, a: 'str'): ...\n\nclass part(Above): ...",
         Parameters(("a",), False, {"a": "'str'"})),
        (f"{DATACLASS}class part:\n    a: int\n    b: str = ''",
         Parameters(("a", "b"), False, {"a": "int", "b": "str"})),
    ],
)  # fmt: skip
def test_parameters_are_read_from_functions_classes_and_dataclasses(written: Path, source: str, expected: Parameters):
    written.write_text(source, encoding="utf-8")
    assert read_parameters("mine.part") == expected


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
