"""Import the libraries of a training without looking for garbage meanwhile."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing(library: str) -> Iterator[None]:
    """Let the body import a large library: Python collects no garbage meanwhile, and never looks through its objects
    again. Both take a sixth of the time of such an import, and a third of a second of each later full collection.

    A library that was imported before changes nothing.
    """
    if library in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
