"""Check command-line arguments, and quote them so that Hydra can read them."""

from collections.abc import Iterable
from functools import lru_cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException

from experiments.common.errors import ExperimentError, shown
from experiments.config.files import OF_ONE_FILE, group_options
from experiments.config.job_overrides import quoted

LONGEST = 100_000  # letters of an override


@lru_cache(maxsize=4096)  # a grid has the same ones in each of its jobs, and each takes a millisecond
def parsed(argument: str) -> Override:
    """Return an override as Hydra reads it, not to be changed. Raises HydraException if its grammar refuses it."""
    if len(argument) > LONGEST:  # Hydra's grammar takes seconds for a million letters
        raise OverrideParseException(argument, f"the override {shown(argument)} has more than {LONGEST:,} letters")
    try:
        (override,) = OverridesParser.create().parse_overrides([argument])
    except (ValueError, OverflowError, RecursionError) as error:  # such as a number of thousands of digits
        raise OverrideParseException(argument, f"the override {shown(argument)} cannot be read ({error})") from error
    return override


def readable(argument: str) -> str:
    """Quote a value that Hydra's grammar refuses, such as a path with ``=``; lists, mappings and quotations stay."""
    key, equals, value = argument.partition("=")
    if not equals or argument.startswith("-") or not value or value[0] in "[{('\"" or "," in value:
        return argument
    for candidate in (argument, f"{key}={quoted(value)}"):
        try:
            parsed(candidate)
        except HydraException:
            continue
        return candidate
    return argument


def check_choices(arguments: Iterable[str]) -> None:
    """Raise ExperimentError for an argument that chooses no file of a group where one is needed: ``budget=[]``."""
    for argument in arguments:
        key, _, value = argument.partition("=")
        group = key.lstrip("+~")
        if group in OF_ONE_FILE and (key.startswith("~") or value.strip() == "[]"):
            files = ", ".join(group_options()[group])
            raise ExperimentError(f"{argument} leaves {group} without a file: choose one, {group}=... ({files})")
