"""Look up the versions of installed packages."""

import importlib.metadata
from functools import lru_cache


@lru_cache(maxsize=256)  # each look-up reads the package's metadata, and jobs of a grid ask for the same ones
def version(package: str) -> str:
    """Return the version of an installed package. Raises PackageNotFoundError if there is none."""
    return importlib.metadata.version(package)
