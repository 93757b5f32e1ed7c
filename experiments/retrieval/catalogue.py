"""Read what ir_datasets' catalogue publishes beside texts: scored documents and triples, named ``ir_datasets:<id>``."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments.common.cache import content_digest
from experiments.common.errors import ExperimentError

CATALOGUE = "ir_datasets:"
SCORED, TRIPLES = "scoreddocs", "docpairs"


def is_named(source: str) -> bool:
    """Return whether a source is of the catalogue rather than a file."""
    return source.startswith(CATALOGUE)


def dataset_of(source: str, kind: str, key: str) -> Any:
    """Load the data set of an ``ir_datasets:<id>``. ``kind``: ``SCORED`` or ``TRIPLES``. ``key``: of the source in the
    config, for messages.

    Raises:
        ExperimentError: the catalogue has no such data set, or it has nothing of this kind.
    """
    import ir_datasets

    dataset_id = source.removeprefix(CATALOGUE)
    try:
        dataset = ir_datasets.load(dataset_id)
    except KeyError as error:
        raise ExperimentError(f"{key}: ir_datasets has no data set {dataset_id!r}") from error
    if not getattr(dataset, f"has_{kind}")():
        raise ExperimentError(f"{key}: {dataset_id!r} has no {kind} in ir_datasets; a sub-set of it may have")
    return dataset


def rows_of(source: str, kind: str, key: str) -> Iterator[Any]:
    """Yield the rows of a data set, which may have to be fetched. Arguments and errors: see ``dataset_of``."""
    try:
        yield from getattr(dataset_of(source, kind, key), f"{kind}_iter")()
    except (RuntimeError, OSError, ValueError) as error:
        raise ExperimentError(
            f"ir_datasets could not provide the {kind} of {source.removeprefix(CATALOGUE)}: {error}. Without a "
            f"network, put its source files under the folder that IR_DATASETS_HOME names"
        ) from error


def content_of(source: str) -> dict[str, str]:
    """Return what tells the content of a file or of a catalogue's data set."""
    if is_named(source):
        return {"ir_datasets": source.removeprefix(CATALOGUE), "catalogue": version("ir-datasets")}
    return {"file": content_digest(Path(source))}
