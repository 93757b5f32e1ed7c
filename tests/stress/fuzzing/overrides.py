"""Set every key of a job to values that cannot be, and damage overrides themselves."""

import random
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from stress.fuzzing.damages import damaged
from stress.fuzzing.verdicts import Outcome, judge

from experiments.common.errors import ExperimentError
from experiments.common.strict_text import parse_yaml
from experiments.config import Experiment, compose
from experiments.config.identity import job_name
from experiments.config.job_overrides import quoted
from experiments.config.values import OF_READERS

LONG = "a" * 10_000
# What is written behind "key=" -> what it is: no value of any key, no number, no whole number, or a possible value
VALUES = {
    "nan": "no number", ".nan": "", "inf": "no number", "-inf": "no number", "-1": "negative", "0": "", "1": "",
    "-0.5": "negative", "1.5": "no whole number", "1e308": "", "-1e308": "negative", "1" + "0" * 30: "huge",
    "9223372036854775808": "huge", "2147483648": "", "1" * 5_000: "huge", "''": "blank", "' '": "blank",
    "null": "null", "[]": "no scalar", "{}": "no scalar", "[1]": "list", "{a:1}": "no scalar",
    "[nan]": "no scalar", "true": "", "x": "word", LONG: "prose", quoted("a\nb"): "prose",
    quoted("a\x00b"): "impossible", quoted("a\ud800b"): "impossible", quoted("a\tb"): "prose",
    quoted("a\x1bb"): "impossible", "..": "no name", "../../x": "", "a/b": "no name", ".": "no name", "/": "no name",
    "é☃": "", "1,2": "", "${seed}": "", "${nothing}": "impossible", "???": "impossible", "${": "impossible",
}  # fmt: skip
NAMES = (
    "backbone.name",
    "model.name",
    "loss.name",
    "negatives.name",
    "study",
    "variant",
    "test_set",
    "data.source.name",
)
VERSIONS = ("backbone.version", "backbone.revision", "backbone.sha256")
PATHS = (
    "data.path", "backbone.path", "outputs", "cache", "checkpoint", "init_from.path", "audit.scorer",
    "negatives.filter.scorer", "backbone.package", "backbone.folder", "loss.teacher",
    "model.cross_encoder",
)  # fmt: skip
MAY_BE_NEGATIVE = (
    "negatives.filter.absolute_margin", "negatives.filter.min_score", "negatives.filter.max_score", "audit.margin",
    "data.fold", "negatives.exclude_grade",  # grades go below 0 in TREC: at -1, passages judged -2 may still be drawn
)  # fmt: skip
MAY_BE_A_WORD = ("loss.fn.pos_weight",)  # settings of parts that are a number in the files of conf/
BASES = (
    (), ("loss=hinge",), ("loss=margin_mse", "loss.teacher=x"), ("model=colbert",), ("model=dual_encoder",),
    ("negatives=stratified",), ("negatives=below_positive",), ("scheduler=inverse_time",),
    ("callbacks=early_stopping",), ("retriever=[bm25,run_file]",     "retrievers.run_file.path=x"),
    ("negatives=from_run_order", "loss=p_listmle"), ("optimizer=sgd",), ("logger=csv",),
)  # fmt: skip


@cache
def _place() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzz-overrides-"))


def _base() -> list[str]:
    return ["data=beir", f"data.path={_place()}", "backbone=local", f"backbone.path={_place()}", "backbone.name=x",
            f"outputs={_place()}/outputs", f"cache={_place()}/cache"]  # fmt: skip


@cache
def keys_of(more: tuple[str, ...]) -> tuple[str, ...]:
    """Return the dotted name of every value of a composed config."""
    return tuple(_leaves(compose.plain(compose.composed(*_base(), *more)), ""))


def _leaves(value: Mapping[str, Any], path: str) -> Iterator[str]:
    for key, inner in value.items():
        yield f"{path}{key}"
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{path}{key}.")


@cache
def defaults(more: tuple[str, ...]) -> dict[str, Any]:
    """Return the value of every key of a composed config that no dataclass declares: settings of parts."""
    config = compose.composed(*_base(), *more)
    return {key: OmegaConf.select(config, key) for key in keys_of(more) if key not in types()}


@cache
def types() -> dict[str, Any]:
    """Return the declared type of every key of the dataclasses."""
    return dict(_declared(Experiment, ""))


def _declared(schema: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, kind in get_type_hints(schema).items():
        yield f"{path}{name}", kind
        if hasattr(kind, "__dataclass_fields__"):
            yield from _declared(kind, f"{path}{name}.")


def cannot_be(key: str, what: str, default: Any = None) -> bool:
    """Return whether a kind of value is one that a key can never have. ``default``: of a setting of a part."""
    if isinstance(default, bool | int | float) and key not in MAY_BE_A_WORD and ".job." not in key:
        return what in ("word", "blank", "no scalar", "list", "no name", "impossible", "prose")
    kind = types().get(key)
    kinds = {*get_args(kind), kind}
    if what == "prose":
        return key not in OF_READERS
    if what == "huge":
        return int in kinds
    number, name = bool(kinds & {int, float}) and bool not in kinds, key in NAMES
    if what == "list":
        what = "" if get_origin(kind) is list else "no scalar"
    if what == "impossible":
        return True
    if number:
        return (
            what in ("no number", "blank", "no scalar", "word", "no name")
            or (what == "no whole number" and float not in kinds)
            or (what == "negative" and key not in MAY_BE_NEGATIVE)
            or (what == "null" and type(None) not in kinds)
        )
    if what == "blank":
        return name or key in VERSIONS or key in PATHS
    if what == "no name":
        return name and key in ("study",)
    return what == "no scalar" and (name or key in VERSIONS or key in PATHS or bool in kinds)


def fuzz(rng: random.Random, folder: Path) -> tuple[str, Outcome, bytes]:
    """Set one key of a job; returns what was set, the outcome, and the override."""
    more = rng.choice(BASES)
    key = rng.choice(keys_of(more))
    value, what = rng.choice(list(VALUES.items()))
    override = f"{key}={value}"
    impossible = cannot_be(key, what, defaults(more).get(key))
    if rng.random() < 0.15:
        _, content = damaged(rng, f"{key}=1".encode())
        override, impossible = content.decode("utf-8", "surrogateescape").replace("\n", ""), False
    return (
        f"{' '.join(more)} {override[:80]!r}",
        outcome_of(more, override, impossible),
        override.encode("utf-8", "surrogatepass"),
    )


def outcome_of(more: Sequence[str], override: str, impossible: bool) -> Outcome:
    """Judge a job with an override. ``impossible``: it must be refused."""
    overrides = [*_base(), *more, override]
    return judge(lambda: _checked(overrides), lambda config: _wrong(config, impossible), harmless=False)


def _checked(overrides: list[str]) -> dict[str, Any]:
    """Check overrides as the command line does, whose last resort is ``explain``."""
    try:
        config = compose.composed_alone(overrides)
        compose.check(config)
        return compose.plain(config)
    except (HydraException, OmegaConfBaseException) as error:
        raise ExperimentError(compose.explain(error)) from error


def _wrong(config: dict[str, Any], impossible: bool) -> str | None:
    if impossible:
        return "a value that cannot be is accepted"
    name = job_name(config)
    if len(name.encode()) > 255 or re.search(r"[/\0-\x1f]", name):
        return f"the folder of the job would be {name[:100]!r}"
    if parse_yaml(yaml.safe_dump(config, allow_unicode=True)) != config:
        return "config.yaml would say something else"
    compose.restored(config)
    return None
