"""Name the files in the folders of studies and jobs; read JSON and YAML with errors that name the file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.common import strict_text
from experiments.common.errors import ExperimentError
from experiments.common.strict_text import YamlError

# in the folder of a job
STATUS = "status.json"
CONFIG = "config.yaml"
METRICS = "metrics.json"
# in the folder of a study
TABLE = "table.yaml"
GRID = "grid.json"


def run_path(folder: Path, first_stage: str, depth: int | None = None) -> Path:
    """Return the path of a job's run on a first stage. ``depth``: smaller than the job's; None for that."""
    return folder / f"run.{first_stage}{'' if depth is None else f'@{depth}'}.trec.gz"


def read_text(path: Path) -> str:
    """Read a file of a job without a byte order mark. Raises ExperimentError if it is missing or is no text."""
    try:
        return strict_text.decode(path, path.read_bytes()).replace("\r\n", "\n")
    except FileNotFoundError as error:
        raise ExperimentError(f"{path} is missing: delete the job's folder and run the study again") from error
    except OSError as error:
        raise ExperimentError(f"{path} cannot be read ({error}): run the job again") from error


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises ExperimentError if it is missing or malformed."""
    return strict_text.parse_json(read_text(path), str(path), finite=False, said=" is not readable JSON")


def read_yaml(path: Path) -> Any:
    """Read a YAML file. Raises ExperimentError if it is missing or malformed."""
    text = read_text(path)
    try:
        return strict_text.parse_yaml(text)
    except YamlError as error:
        raise ExperimentError(f"{path} is not readable YAML ({error})") from error


def read_mapping(path: Path) -> Mapping[str, Any]:
    """Read a JSON or YAML file that holds named values. Raises ExperimentError if it does not."""
    return as_mapping(path, read_yaml(path) if path.suffix == ".yaml" else read_json(path))


def as_mapping(path: Path | str, value: Any, key: str | None = None) -> Mapping[str, Any]:
    """Return ``value``, the content of a file or of its ``key``. ``path``: what names it in a message.

    Raises:
        ExperimentError: it is no mapping.
    """
    if not isinstance(value, Mapping):
        what = "it" if key is None else f"its key {key!r}"
        raise ExperimentError(f"{path}: {what} should hold named values, not {type(value).__name__}")
    return value
