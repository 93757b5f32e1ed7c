"""Headers of run files as in ir_metadata 0.1 (Breuer, Keller and Schaer 2022): YAML in comment lines before the run.

::

    # ir_metadata.start
    # tag: my run
    # ir_metadata.end
    q1 Q0 p7 1 12.5 my run
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.common.errors import ExperimentError
from experiments.common.strict_text import YamlError, parse_yaml
from experiments.data.readers import lines
from experiments.data.run_lines import is_comment

START, END = "# ir_metadata.start", "# ir_metadata.end"


def header_end(path: Path) -> int:
    """Return the number of the last line of a run file's header; 0 for a file without a header.

    Raises:
        ExperimentError: the header does not begin or does not end, or is no YAML of named values.
    """
    begun, inside = 0, list[tuple[int, str]]()
    for number, line in lines.lines(path):
        bare = line.strip()
        if bare == END and begun:
            _check(path, begun, inside)
            return number
        if bare == (START if begun else END):
            raise ExperimentError(
                f"{path}, line {number}: {bare!r} is not expected here: a header has one start, then one end"
            )
        if not begun:
            if not is_comment(line):
                return 0
            begun = number if bare == START else 0
        elif not bare.startswith("#"):
            raise _unended(path, begun, f"line {number} is no comment")
        else:
            inside.append((number, bare[1:]))
    if begun:
        raise _unended(path, begun, "the file ends first")
    return 0


def run_lines(path: Path, after: int) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) of the run after its header (``header_end``), without comments."""
    return ((number, line) for number, line in lines.lines(path) if number > after and not is_comment(line))


def header_text(metadata: Mapping[str, Any]) -> str:
    """Return metadata as the lines of a header."""
    import yaml

    text = yaml.safe_dump(dict(metadata), sort_keys=False, width=4096).rstrip("\n")
    return "\n".join([START, *(f"# {line}" for line in text.split("\n")), END, ""])


def _unended(path: Path, begun: int, why: str) -> ExperimentError:
    return ExperimentError(f"{path}, line {begun}: the header that begins here has no end ({why}): add a line {END!r}")


def _check(path: Path, begun: int, inside: Sequence[tuple[int, str]]) -> None:
    """Raise ExperimentError unless the lines of a header, without their number signs, are YAML of named values."""
    try:
        content = parse_yaml("\n".join(line for _, line in inside))
    except YamlError as error:
        mark, problem = getattr(error.__cause__, "problem_mark", None), getattr(error.__cause__, "problem", None)
        at = inside[min(mark.line, len(inside) - 1)][0] if mark is not None else begun
        raise ExperimentError(
            f"{path}, line {at}: the header that begins in line {begun} is no YAML ({problem or error}): correct it or "
            f"delete the header"
        ) from error
    if not isinstance(content, Mapping | None):
        raise ExperimentError(
            f"{path}, line {begun}: the header should hold named values, not {type(content).__name__}"
        )
