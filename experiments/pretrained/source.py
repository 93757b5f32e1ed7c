"""Where a pretrained model is, what messages call it, and one message for whatever goes wrong when it is read."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from experiments.common.errors import ExperimentError
from experiments.common.model_files import is_folder
from experiments.common.text import first_line


@dataclass(frozen=True)
class Source:
    """A folder in Hugging Face format, or a hub id with a revision.

    ``said``: what messages call it, such as ``backbone 'minilm'`` or the key ``loss.teacher``. ``fix``: what the user
    can do if it cannot be used; the end of a sentence. ``subfolder``: where in it the weights are.
    """

    place: str
    label: str
    fix: str
    revision: str | None = None
    subfolder: str = ""

    def check_place(self) -> None:
        """Raise ExperimentError if the place can only be a folder and there is none."""
        if is_folder(self.place) and not Path(self.place).is_dir():
            raise ExperimentError(f"{self.label}: there is no folder {self.place}: {self.fix}")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read files of the source in the body, without transformers' bars and reports.

        Raises:
            ExperimentError: instead of what the body raises. Files can be wrong in as many ways as the libraries have
                exceptions (tokenizers raises a bare ``Exception``), and the message names the first line of any.
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
    """Keep back transformers' bars, and its report on heads that are missing or left over: a fresh cross-encoder has
    both.
    """
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries without a network fill the screen
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
        transformers_logging.enable_progress_bar()
