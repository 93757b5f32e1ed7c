"""Quote command-line arguments so that Hydra can read them."""

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from experiments.config.job_overrides import quoted


def readable(argument: str) -> str:
    """Quote a value that Hydra's grammar refuses, such as a path with ``=``; lists, mappings and quotations stay."""
    key, equals, value = argument.partition("=")
    if not equals or argument.startswith("-") or not value or value[0] in "[{('\"" or "," in value:
        return argument
    parser = OverridesParser.create()
    for candidate in (argument, f"{key}={quoted(value)}"):
        try:
            parser.parse_override(candidate)
        except HydraException:
            continue
        return candidate
    return argument
