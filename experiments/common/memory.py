"""Notice before a stage begins that a collection may be too large for the machine's memory."""

import logging
import os
from pathlib import Path

from experiments.common.stage_rates import BYTES_A_PASSAGE, StageRate

SYSTEM = Path("/proc/meminfo")
CONTAINER = Path("/sys/fs/cgroup")  # of a process in a container with a limit of its own

log = logging.getLogger(__name__)


def available_memory(system: Path = SYSTEM, container: Path = CONTAINER) -> int | None:
    """Return the bytes of memory that a process can still take, of the machine and of its container; None if the
    operating system does not say.
    """
    found = [_of_the_machine(system), _of_the_container(container)]
    return min((each for each in found if each is not None), default=None)


def _of_the_machine(path: Path) -> int | None:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return _of_all_pages()
    sizes = [line.split() for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(sizes[0][1]) if sizes else _of_all_pages()


def _of_all_pages() -> int | None:
    """Return the size of the memory, where what is free of it is not said."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _of_the_container(folder: Path) -> int | None:
    try:
        limit, used = ((folder / f"memory.{name}").read_text(encoding="utf-8").strip() for name in ("max", "current"))
        files = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    if limit == "max":
        return None
    given_back = sum(int(line.split()[1]) for line in files if line.startswith("inactive_file "))
    return max(0, int(limit) - int(used) + given_back)


def notice_memory(what: str, rate: StageRate, texts: int, size: int) -> None:
    """Log a warning if a stage may need more memory than there is.

    ``what``: the stage, such as "the index of bm25:". ``rate``: what it takes of a passage of ``BYTES_A_PASSAGE``.
    ``size``: bytes of all texts.
    """
    needed, free = rate.base + rate.memory * max(texts, size / BYTES_A_PASSAGE), available_memory()
    if free is not None and needed > free:
        log.warning(
            "%s %s texts may need %.1f GB of memory, and %.1f GB are free: the system may slow down or end this "
            "process, whose work so far is kept. Free memory, take a machine with more (`study plan` says what each "
            "stage takes), or a part of the texts",
            what,
            f"{texts:,}",
            needed / 1e9,
            free / 1e9,
        )
