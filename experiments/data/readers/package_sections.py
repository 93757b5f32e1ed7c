"""Read the sections of packages' docstrings, a process of its own for each package and a core for each process.

Parsing every source file takes a minute of one core. As a command, it prints the sections of one package as JSON.
"""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from experiments.common.errors import ExperimentError
from experiments.data.readers.docstrings import PackageSources, split_body, split_sections

MIN_WORDS, MAX_WORDS, MAX_PARTS = 6, 120, 4  # of a passage's body; and how many passages a section may fill
USER_ERROR = 2

Sections = dict[str, dict[str, list[str]]]  # public name -> kind of section -> bodies of its passages, names sorted


def read_packages(packages: Sequence[str]) -> Iterator[Sections]:
    """Yield the sections of each package, in the order given.

    The processes are no workers of multiprocessing, which would run a caller's script again that has no main guard.

    Raises:
        ExperimentError: a package is not installed or a source file is not valid Python.
    """
    if len(packages) == 1:
        yield read_package(packages[0])
        return
    largest_first = sorted(packages, key=lambda package: len(PackageSources(package).paths), reverse=True)
    threads = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        reading = {package: threads.submit(_read_elsewhere, package) for package in largest_first}
        for package in packages:
            yield reading[package].result()
    finally:
        threads.shutdown(cancel_futures=True)


def read_package(package: str) -> Sections:
    """Read the sections of one package in this process.

    Raises:
        ExperimentError: it is not installed or a source file is not valid Python.
    """
    with collection_paused():
        public = PackageSources(package).public_docstrings()
    return {name: _bodies(docstrings) for name, docstrings in sorted(public.items())}


def _read_elsewhere(package: str) -> Sections:
    path = os.pathsep.join(filter(None, sys.path))  # a package may lie where only this process looks
    command = [sys.executable, "-m", __name__, package]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONPATH": path}, check=False)
    if done.returncode == USER_ERROR:
        raise ExperimentError(done.stderr.decode())
    if done.returncode:
        raise RuntimeError(f"reading the package {package} failed:\n{done.stderr.decode()}")
    sections: Sections = json.loads(done.stdout)
    return sections


def _bodies(docstrings: list[str]) -> dict[str, list[str]]:
    """Return the bodies of each section; the first docstring (a class's own) takes precedence."""
    merged: dict[str, str] = {}
    for docstring in docstrings:
        merged = split_sections(docstring) | merged
    return {kind: split_body(merged[kind], kind, MIN_WORDS, MAX_WORDS, MAX_PARTS) for kind in sorted(merged)}


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause the collection of reference cycles: syntax trees have none, and the search for them doubles the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


if __name__ == "__main__":
    try:
        json.dump(read_package(sys.argv[1]), sys.stdout)
    except ExperimentError as error:
        sys.stderr.write(str(error))
        raise SystemExit(USER_ERROR) from None
