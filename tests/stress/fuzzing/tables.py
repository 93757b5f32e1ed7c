"""Damage the YAML of sweeps, tables and claims: in a user's own folder of sweeps, and beside the jobs of a study."""

import os
import random
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from stress.fuzzing.damages import HARMLESS, damaged, with_another_value
from stress.fuzzing.studies import said_of, template
from stress.fuzzing.verdicts import Outcome, judge

from experiments.analysis.findings import read_table
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.files import SWEEPS, USER_FOLDER

PACKAGE = b"# @package _global_\n"


@cache
def _sweeps() -> tuple[Path, ...]:
    """Return the sweeps that declare a table."""
    return tuple(path for path in sorted(SWEEPS.glob("*.yaml")) if b"\ntable:" in path.read_bytes())


def fuzz(rng: random.Random, folder: Path) -> tuple[str, Outcome, bytes]:
    """Damage one file; returns what was done, the outcome, and the damaged bytes."""
    kind = rng.choice(["sweep", "table", "table", "report"])
    source = rng.choice(_sweeps())
    content = source.read_bytes()
    if kind != "sweep":
        table = (
            yaml.safe_load(content)["table"]
            if kind == "table"
            else yaml.safe_load((template() / "table.yaml").read_bytes())
        )
        content = yaml.safe_dump(table, sort_keys=False, allow_unicode=True).encode()
    if rng.random() < 0.6:
        what, value = with_another_value(rng, yaml.safe_load(content))
        content = (PACKAGE if kind == "sweep" else b"") + yaml.safe_dump(value, sort_keys=False).encode()
    else:
        what, content = damaged(rng, content)
    harmless = what in HARMLESS and not (kind == "sweep" and what == "byte order mark")  # Hydra then misses its header
    if kind == "sweep":
        outcome = judge(lambda: _composed(folder, content), lambda grid: None, harmless=harmless, place=str(folder))
    elif kind == "table":
        (folder / "table.yaml").write_bytes(content)
        outcome = judge(lambda: read_table(folder / "table.yaml"), _wrong_table, harmless=harmless, place=str(folder))
    else:
        outcome = said_of("report", template() / "table.yaml", content, what, folder)
    return f"{kind}: {source.name if kind != 'report' else 'table.yaml'}: {what}", outcome, content


def _composed(folder: Path, content: bytes) -> Any:
    """Compose the first job of a sweep in a user's folder, as study plan does."""
    (folder / "sweeps").mkdir()
    (folder / "sweeps" / "mine.yaml").write_bytes(content)
    for path in SWEEPS.iterdir():  # what sweeps include
        if path.is_dir() and path.name != "results":
            shutil.copytree(path, folder / "sweeps" / path.name)
    os.environ[USER_FOLDER] = str(folder)
    compose.register()
    try:
        return compose.check(compose.composed("+sweeps=mine"), parts=False)
    except (HydraException, OmegaConfBaseException) as error:
        raise ExperimentError(compose.explain(error)) from error
    finally:
        del os.environ[USER_FOLDER]
        compose.register()


def _wrong_table(table: Any) -> str | None:
    """Say what no table can have: texts that are none, values that are no share."""
    for text in _texts(table):
        if not isinstance(text, str) or not text.strip() or any(0xD800 <= ord(letter) < 0xE000 for letter in text):
            return f"{str(text)[:60]!r} is accepted as a text"
    return None


def _texts(table: Any) -> Iterator[Any]:
    if table is not None:
        yield from (table.title, table.source)
        yield from (claim.says for claim in table.claims)
