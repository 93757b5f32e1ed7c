"""What is typed on a command line, made readable for Hydra."""

import re

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException


def readable(argument: str) -> str:
    """Return a command-line argument such that Hydra can read it: a value that its grammar refuses, such as a path with
    ``=`` or parentheses, is quoted. What Hydra reads already, and what starts a list, a mapping or a quotation, stays.
    """
    key, equals, value = argument.partition("=")
    if not equals or argument.startswith("-") or not value or value[0] in "[{('\"" or "," in value:
        return argument
    parser = OverridesParser.create()
    # Hydra reads backslashes as escapes only before a quotation mark, the closing one included
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    for candidate in (argument, f"{key}='{escaped}'"):
        try:
            parser.parse_override(candidate)
        except HydraException:
            continue
        return candidate
    return argument
