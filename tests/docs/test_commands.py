"""Every command that the documentation shows works as it is typed: the program is there, its overrides compose."""

import importlib.util
import inspect
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from helpers.jobs import ROOT, composed
from helpers.pages import PAGES, Command, add_parts_shown, blocks, commands, spans
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments import __main__ as console
from experiments.common.errors import ExperimentError
from experiments.config import compose
from experiments.config.experiment import Experiment
from experiments.config.files import sweep_names
from experiments.config.keys import declared
from experiments.studies.needs import CARDS
from experiments.study import COMMANDS, DEVICE, RESULTS, override_of

OTHERS = ("wandb", ".venv/bin/wandb", "pip", "source")  # programs of others
OF_HYDRA = ("train", "retrieve", "audit", "probe")
LAUNCHES = ("plan", "rehearse", "run")
SHOWN = [command for page in PAGES for command in commands(page)]
OURS = [command for command in SHOWN if command.module is not None]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
VALUE = re.compile(r"^\+{0,2}[a-z_]+(?:\.\w+)*(?:@[\w.]+)?=\S+$")
KEY = re.compile(r"^[a-z_]+(?:\.[a-z_][\w]*)+$")
PLACEHOLDERS = ("key=value", "group=option", "group.key=value", "+group@place=option")
NOT_KEYS = re.compile(
    r"\.(?:md|py|tsv|csv|tex|json|jsonl|gz|yaml|yml|html|log|txt|css|js|png|svg)$|^(?:study|job|findings|results)\."
)
# What an override or a key in the prose may need next to it: the first of these with which it composes is taken.
ALL_RETRIEVERS = [
    "retriever=[bm25,bm25_tuned,colbert,dense,tct_colbert,judged,run_file,negatives_file,collection,fusion,teacher_run]",
    "retrievers.run_file.path=a.run",
    "retrievers.negatives_file.path=a.jsonl",
    "retrievers.fusion.of=[bm25,colbert]",
]
CONTEXTS: list[list[str]] = [
    [],
    ["data=synthetic"],
    ["data=beir", "data.path=x", "probe=all_layers", *ALL_RETRIEVERS],
    ["data=beir", "data.path=x", "data.split.train=0.6", "data.split.test=0.3"],
    ["data=ir_datasets", "data.source.splits.train=x", "data.source.splits.test=y"],
    ["retriever=[bm25,run_file]", "retrievers.run_file.path=a.run"],
    ["model=dual_encoder"],
    ["model=colbert"],
    ["loss=margin_mse"],
    ["loss=mse", "loss.teacher=scores.tsv"],
    ["loss=lambda_loss"],
    ["negatives.filter.absolute_margin=0.1"],
    ["negatives=below_positive"],
    ["negatives=from_run_order"],
    ["data.folds=5"],
    [
        "loss=distill_ranknet",
        "retriever=[bm25,teacher_run]",
        "negatives=from_run_order",
        "negatives.source=teacher_run",
    ],
    ["model=checkpoint", "model.path=x"],
    ["init_from.job={loss:lce,data:{queries:{train:100}}}"],
    ["scale=paper", "+sweeps/rank_distillm_sizes=paper"],
    ["backbone=local"],
]


@pytest.fixture(autouse=True, scope="module")
def _parts_shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        add_parts_shown(tmp_path_factory.mktemp("parts"), patch)
        yield


PATHS = {f"data={name}": "data.path" for name in ("beir", "msmarco", "faq")} | {"backbone=local": "backbone.path"}


def grids(overrides: tuple[str, ...]) -> list[list[str]]:
    """Few jobs that together have every value of a grid: the first of each key, then the second of each, and so on."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    values = [
        [f"{one.get_key_element()}={value}" for value in one.sweep_string_iterator()]
        if one.is_sweep_override()
        else [text]
        for one, text in zip(parsed, overrides, strict=True)
    ]
    return [[each[min(number, len(each) - 1)] for each in values] for number in range(max(map(len, values), default=1))]


def without_flags(arguments: Sequence[str]) -> list[str]:
    """Arguments without those of Hydra's flags that have a value."""
    before = ("", *arguments)
    return [word for flag, word in zip(before, arguments, strict=False) if flag not in ("--cfg", "--config-dir")]


def check(overrides: tuple[str, ...]) -> None:
    """Compose and check jobs that together have every value of some overrides."""
    for job in grids(overrides):
        given = [override for override in job if not override.startswith("hydra")]
        needs = {
            "data=beir": "data.path",
            "data=msmarco": "data.path",
            "data=faq": "data.path",
            "backbone=local": "backbone.path",
        }
        paths = [f"{key}=x" for one, key in needs.items() if one in given and not any(key in other for other in given)]
        compose.check(composed(*given, *paths))


@pytest.mark.parametrize("command", sorted(set(SHOWN), key=str), ids=str)
def test_the_program_of_a_command_is_there(command: Command):
    if command.words[0] == "make":
        assert command.words[1] in TARGETS
    elif command.words[0] == "rerank-ablations":
        assert command.words[1] in console.COMMANDS
    elif command.module is not None:
        assert importlib.util.find_spec(f"experiments.{command.module}")
    else:
        script = next((word for word in command.words[1:2] if word.endswith(".py")), None)
        assert (
            (ROOT / script).is_file() if script else command.words[0] in ("wandb", ".venv/bin/wandb", "pip", "source")
        )


@pytest.mark.parametrize("command", [one for one in OURS if one.module in OF_HYDRA], ids=str)
def test_the_overrides_of_a_command_compose(command: Command):
    check(tuple(word for word in without_flags(command.arguments) if not word.startswith("-")))


@pytest.mark.parametrize("command", [one for one in OURS if one.module == "study"], ids=str)
def test_a_study_that_a_command_names_is_there(command: Command):
    word, *study = [word for word in without_flags(command.arguments) if not word.startswith("--")]
    assert word in COMMANDS
    if word in LAUNCHES:
        devices = [word.removeprefix(DEVICE) for word in study if word.startswith(DEVICE)]
        assert set(devices) <= set(CARDS)
        overrides = tuple(override_of(argument) for argument in study if not argument.startswith(DEVICE))
        names = [one.partition("=")[2] for one in overrides if one.startswith("+sweeps=")]
        assert all(name in sweep_names() for name in names)
        check(overrides)
    else:
        (place,) = map(Path, study)
        assert place.parts[0] == "outputs" or (word in ("status", "verify") and place.parent == RESULTS)


@pytest.mark.parametrize("command", [one for one in OURS if one.module in ("report", "compare")], ids=str)
def test_the_flags_of_a_command_are_known(command: Command, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        importlib.import_module(f"experiments.{command.module}").main(["--help"])
    known = capsys.readouterr().out
    assert all(word in known for word in command.arguments if word.startswith("--"))


def overrides_in_prose() -> list[str]:
    shown = {span for page in PAGES for span in spans(page)}
    return sorted(span for span in shown - set(PLACEHOLDERS) if all(map(VALUE.match, span.split())))


@pytest.mark.parametrize("span", overrides_in_prose())
def test_an_override_in_the_prose_composes(span: str):
    errors = []
    for context in CONTEXTS:
        try:
            check((*context, *span.split()))
            return
        except (ExperimentError, HydraException, OmegaConfBaseException) as error:
            errors.append(str(error).splitlines()[0])
    pytest.fail("\n".join(errors))


@pytest.fixture(scope="module")
def known_keys() -> set[str]:
    """Every dotted key of an experiment, and the parents of each."""
    keys = set(declared(Experiment))
    for context in CONTEXTS:
        keys |= set(flat(OmegaConf.to_container(composed(*context), resolve=False)))
    for name in (path.stem for path in (ROOT / "conf" / "loss").glob("*.yaml")):
        keys |= set(flat(OmegaConf.to_container(composed(f"loss={name}"), resolve=False)))
    return {".".join(parts[:end]) for parts in (key.split(".") for key in keys) for end in range(1, len(parts) + 1)}


def flat(settings: object, path: str = "") -> list[str]:
    """The dotted keys of nested settings, and the arguments of what ``_target_`` names."""
    if not isinstance(settings, dict) or not settings:
        return [path.removesuffix(".")]
    target = settings.get("_target_")
    arguments = inspect.signature(get_object(target)).parameters if target else ()
    keys = [key for name, value in settings.items() for key in flat(value, f"{path}{name}.")]
    return [*keys, *(f"{path}{name}" for name in arguments)]


def test_every_key_that_the_prose_names_is_one(known_keys: set[str]):
    named = {span for page in PAGES for span in spans(page) if KEY.match(span) and not NOT_KEYS.search(span)}
    first = {key.partition(".")[0] for key in known_keys}
    assert sorted(key for key in named if key.partition(".")[0] in first and key not in known_keys) == []


@pytest.mark.parametrize("block", [block for page in PAGES for block in blocks(page, "console")])
def test_a_message_that_a_page_shows_is_what_is_said(block: str):
    command, message = block.strip().split("\n")
    overrides = tuple(word for word in shlex.split(command.removeprefix("$ "))[2:] if word != "-m")
    with pytest.raises(ExperimentError) as error:
        check(overrides)
    assert message.endswith(str(error.value))
