"""Name the location of a pretrained model, and convert every loading failure into one clear message."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from experiments.common.errors import ExperimentError
from experiments.common.model_files import is_folder, refuse_altered
from experiments.common.text import first_line


@dataclass(frozen=True)
class Source:
    """A folder in Hugging Face format, or a hub id with a revision.

    ``label``: its name in messages, such as ``backbone 'minilm'`` or ``loss.teacher``. ``fix``: what the user can do
    about an error, as the end of a sentence. ``subfolder``: the folder of the weights in it.
    """

    place: str
    label: str
    fix: str
    revision: str | None = None
    subfolder: str = ""

    def local_file(self, name: str) -> Path | None:
        """Return a file of the source; None if it is not on this machine."""
        from transformers.utils.hub import cached_file

        path = cached_file(
            self.place,
            name,
            revision=self.revision,
            subfolder=self.subfolder,
            local_files_only=True,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        return Path(path) if path is not None else None

    def check_place(self) -> None:
        """Raise ExperimentError if the place can only be a folder and does not exist, or is a job's altered model."""
        if is_folder(self.place) and not Path(self.place).is_dir():
            raise ExperimentError(f"{self.label}: there is no folder {self.place}: {self.fix}")
        refuse_altered(self.place, self.label)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read files of the source within the ``with`` block, without transformers' bars and reports.

        Raises:
            ExperimentError: for any exception in the block, with its first line; the libraries raise many types
            (tokenizers a bare ``Exception``).
        """
        self.check_place()
        try:
            with quiet():
                yield
        except ExperimentError:
            raise
        except Exception as error:
            raise ExperimentError(
                f"{self.label} cannot be loaded from {self.place!r} ({first_line(error)}): {self.fix}"
            ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Hide transformers' bars, and its report on missing or unused heads, which every new cross-encoder has."""
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # without a network it logs every retry
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
        transformers_logging.enable_progress_bar()
