"""Quote command-line arguments so that Hydra can read them."""

import re

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException


def readable(argument: str) -> str:
    """Quote a value that Hydra's grammar refuses, such as a path with ``=``; lists, mappings and quotations stay."""
    key, equals, value = argument.partition("=")
    if not equals or argument.startswith("-") or not value or value[0] in "[{('\"" or "," in value:
        return argument
    parser = OverridesParser.create()
    # Hydra reads backslashes as escapes only before a quotation mark, the closing one included
    escaped = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), value)
    for candidate in (argument, f"{key}='{escaped}'"):
        try:
            parser.parse_override(candidate)
        except HydraException:
            continue
        return candidate
    return argument
