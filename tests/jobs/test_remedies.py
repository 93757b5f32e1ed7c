"""What a message says to type works when it is typed: every ``key=value`` composes, every key that it names is one."""

import ast
import re
from pathlib import Path

import pytest
from helpers.jobs import ROOT, composed
from omegaconf import DictConfig, OmegaConf

from experiments.config import Experiment, compose
from experiments.config.keys import declared

FILES = [
    "data/query_split.py", "data/splits.py", "data/repeated_queries.py", "jobs/prepare.py", "analysis/folds.py",
    "negatives/run_lists.py", "negatives/sampler.py", "negatives/sampling_report.py", "config/negatives.py",
    "config/data.py", "retrieval/judged_negatives.py",
    "config/compose.py",
    "config/retriever_roles.py", "jobs/inherited.py",
]  # fmt: skip
VALUE = re.compile(r"(?<![\w.])((?:data|negatives|first_stage|retriever)(?:\.[\w.]*\w)?)=([^\s,;:)]+)")
KEY = re.compile(r"(?<![\w./])((?:data|negatives|validation|audit|retrieve)\.[a-z_][\w.]*\w)(?![\w(*])")
# What a remedy needs beside it, since its sentence says so or since it is one of two.
WITH = {
    "data.split.train": ["data.split.test=0.1"],
    "data.split.test": ["data.split.train=0.1"],
    "data.folds": ["data.fold=0"],
    "data.fold": ["data.folds=5"],
    "negatives.source": ["retriever=[bm25,colbert,judged]"],
    "negatives.without_positive": ["negatives=from_run_order"],
    "data.split.of": ["data.split.train=0.6", "data.split.test=0.3"],
}
NOT_KEYS = ("data.source", "data.split")  # parts, and the names of modules


def said_in(path: Path) -> list[str]:
    """Every text of a module, an f-string with ``{}`` for what is put in; docstrings too."""
    texts = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            texts.append("".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            texts.append(node.value)
    return texts


def remedies() -> list[tuple[str, str]]:
    found = {
        (key, value)
        for name in FILES
        for text in said_in(ROOT / "experiments" / name)
        for key, value in VALUE.findall(text.replace("``", " "))
        if "{" not in value and value.strip(".'\"")
    }
    return sorted(found)


@pytest.fixture(scope="module")
def config() -> DictConfig:
    return composed("data=beir", "data.path=x")


def test_there_are_remedies_to_try():
    assert len(remedies()) > 10
    assert ("negatives.short", "drop") in remedies()


@pytest.mark.parametrize(("key", "value"), remedies())
def test_what_a_message_says_to_type_is_accepted(key: str, value: str):
    further = [one for one in WITH.get(key, []) if not one.startswith(f"{key}=")]
    experiment = compose.check(composed("data=beir", "data.path=x", f"{key}={value.rstrip('.')}", *further))
    assert isinstance(experiment, Experiment)


@pytest.mark.parametrize("name", FILES)
def test_every_key_that_a_message_names_is_one(name: str, config: DictConfig):
    known = set(declared(Experiment))
    for text in said_in(ROOT / "experiments" / name):
        for key in KEY.findall(text):
            if key in NOT_KEYS or key in known or any(one.startswith(f"{key}.") for one in known):
                continue
            assert OmegaConf.select(config, key, default=0) != 0, f"{name}: {key} in {text!r}"


@pytest.mark.parametrize("split", ["train", "dev", "test"])
@pytest.mark.parametrize("data", ["data=beir data.path=x", "data=msmarco data.path=x", "data=ir_datasets"])
def test_every_split_of_a_reader_can_be_named_by_key(data: str, split: str):
    given = [f"data.source.splits.{one}=some" for one in ("train", "test")]
    settings = composed(*data.split(), *given, f"data.source.splits.{split}=test0").data.source.splits
    assert settings[split] == "test0"


@pytest.mark.parametrize("data", ["beir", "msmarco", "ir_datasets", "apidocs"])
@pytest.mark.parametrize(
    "overrides",
    [
        "data.split.train=0.6 data.split.dev=0.1 data.split.test=0.3",
        "data.split.of=test data.split.train=100 data.split.test=50",
        "data.folds=5 data.fold=4",
        "data.without_relevant=count_as_zero data.repeated_queries=drop",
    ],
)
def test_every_data_set_can_be_shared_out_by_key(data: str, overrides: str):
    needs = {"ir_datasets": ["data.source.splits.train=null", "data.source.splits.test=cranfield"]}
    given = needs.get(data, ["data.path=x"])
    experiment = compose.check(composed(f"data={data}", *given, *overrides.split()))
    assert experiment.data.split.of in (None, "test")
