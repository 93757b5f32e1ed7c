"""Quote command-line arguments so that Hydra can read them."""

from functools import lru_cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, OverrideParseException

from experiments.common.errors import shown
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
