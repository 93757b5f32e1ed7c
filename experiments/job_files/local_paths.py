"""Write texts without the absolute paths of the machine that they come from.

A path below the working directory becomes relative to it, as a config of the checkout would have it. Any other becomes
``elsewhere/<digest>/<name>``: two paths stay two, so that settings that differ in a path alone still differ.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.common.cache import fingerprint

ELSEWHERE = "elsewhere"
# At the start of a text, or after what separates values in an override, such as ``data.path=/a,/b`` or ``x=[/a]``.
ABSOLUTE = re.compile(r"""(?<![^\s=,:\[({"'])(?:~|[A-Za-z]:)?[/\\][^\s,\])}"'/\\][^\s,\])}"']*""")


def without_local_paths(value: Any, here: Path) -> Any:
    """Return a value of JSON or YAML, its absolute paths replaced in texts at any depth. ``here``: see above."""
    if isinstance(value, Mapping):
        return {key: without_local_paths(inner, here) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_local_paths(inner, here) for inner in value]
    if isinstance(value, str):
        return ABSOLUTE.sub(lambda found: _portable(found.group(), here), value)
    return value


def _portable(text: str, here: Path) -> str:
    path = Path(text).expanduser()
    if path.is_relative_to(here):
        return path.relative_to(here).as_posix()
    name = re.split(r"[/\\]", text.rstrip("/\\"))[-1]
    return f"{ELSEWHERE}/{fingerprint(text)[:8]}/{name}"
