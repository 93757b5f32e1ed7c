"""The rule of imports: rooms use only what is below them, Hydra is known to few, and what reads results needs no torch.

``docs/architecture.md`` has the same table for readers.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.jobs import ROOT

PACKAGE = ROOT / "experiments"
# From the ground up. A room may import from every floor below its own, and from no other room of its own floor.
FLOORS = (
    ("common",),
    ("data", "losses", "pretrained", "tracking"),
    ("retrieval", "evaluation", "job_files"),
    ("config",),
    ("models", "negatives", "analysis"),
    ("probing", "callbacks"),
    ("jobs", "reporting"),
    ("studies",),
    ("train", "evaluate", "retrieve", "audit", "probe", "report", "compare", "wandb_sweeps", "pyterrier"),
    ("study", "__main__"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
KNOW_HYDRA = (
    "config/compose.py",
    "config/explanations.py",
    "config/grid.py",
    "config/grid_settings.py",
    "config/loader.py",
    "config/overrides.py",
    "config/retriever_roles.py",
    "config/sweeps_group.py",
    "jobs/hydra_app.py",
    "jobs/prerequisite_stage.py",
    "jobs/ray_launcher.py",
    "train.py",
    "evaluate.py",
    "retrieve.py",
    "audit.py",
    "probe.py",
)
READING = ("job_files", "tracking", "analysis", "reporting", "evaluation")
HEAVY = ("torch", "pytorch_lightning", "transformers", "sentence_transformers")
FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """``experiments.data.run`` for its file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in FILES}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imported(path: Path, *, of_types: bool = True) -> Iterator[str]:
    """The modules that a file imports, anywhere in it. ``of_types``: also those for the type checker alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    only_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in only_types and not of_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def own(path: Path) -> Iterator[str]:
    yield from (name for name in imported(path, of_types=False) if name in MODULES and name != "experiments")


def test_every_room_has_its_floor():
    assert {room_of(name) for name in MODULES} - {""} <= set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_run_down_only(path: Path):
    room = room_of(name_of(path))
    upwards = {
        name
        for name in own(path)
        if room and room_of(name) != room and FLOOR[room_of(name)] >= FLOOR[room] and name != "experiments.report"
    }
    assert not upwards


def test_no_file_imports_itself_over_others():
    edges = {name: set(own(path)) for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, chain: tuple[str, ...]) -> None:
        assert name not in chain, " -> ".join((*chain, name))
        if name not in done:
            for other in edges[name]:
                visit(other, (*chain, name))
            done.add(name)

    for name in edges:
        visit(name, ())


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_hydra_is_known_to_few(path: Path):
    knows = any(name.split(".")[0] == "hydra" for name in imported(path))
    assert not knows or path.relative_to(PACKAGE).as_posix() in KNOW_HYDRA


@pytest.mark.parametrize("room", READING)
def test_what_reads_results_imports_no_network_library(room: str):
    modules = [name for name in MODULES if room_of(name) == room]
    code = f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {name.split(".")[0] for name in done.stdout.split()} & set(HEAVY)


@pytest.mark.parametrize("path", [path for path in FILES if room_of(name_of(path)) in READING], ids=name_of)
def test_nor_does_it_later(path: Path):
    assert not {name.split(".")[0] for name in imported(path, of_types=False)} & set(HEAVY)


@pytest.mark.parametrize("path", [path for path in FILES if room_of(name_of(path)) == "losses"], ids=name_of)
def test_losses_know_torch_alone(path: Path):
    known = ("torch", "math", "collections", "experiments.common.errors", "experiments.losses")
    assert [name for name in imported(path) if not name.startswith(known)] == []
