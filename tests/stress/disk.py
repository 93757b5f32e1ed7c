"""Give small studies a full, read-only or wrongly shaped disk: ``python -m stress.disk`` (PYTHONPATH=tests).

Full: the outputs and the cache lie on a disk (tmpfs) of each of several sizes; without the right to mount one, no file
may grow beyond each of several sizes. Read-only: a bind mount, and folders without permission. Wrongly shaped: a file
where a folder should be, a folder where a file should be, for each path of a job, a study and the cache.
After each the cause is taken away and the study is run again, which must end with the numbers of an undisturbed one.
Printed are the tries, tracebacks, messages that name no path, exit codes of 0, temporary files and losses.
"""

import argparse
import ctypes
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stress.studies import Counts, forked, imported, leftovers, numbers_of, overrides_in, scratch

STUDY = "s"


def job_in(folder: Path, place: Path) -> list[str]:
    return ["train", *overrides_in(folder, place, f"study={STUDY}", "trainer.profile=true")]


def check(code: int, log: Path, named: str, counts: Counts, what: str) -> None:
    """Count what is wrong with how a command failed. ``named``: what its message has to name."""
    text = log.read_text(errors="replace")
    said = [line for line in text.splitlines() if line.startswith("error: ")]
    counts.add("tries")
    counts.expect(code not in (0, -9, -7), "wrong exit codes", f"{what}: {code}")
    counts.expect("Traceback" not in text, "tracebacks", f"{what}: {text[-3000:]}")
    counts.expect(len(said) == 1 and named in said[0], "unclear messages", f"{what}: {said or text[-800:]}")
    print(f"{what}: {said[0] if said else code}", flush=True)


def go_on(command: Sequence[str], place: Path, undisturbed: dict[str, Any], counts: Counts, what: str) -> None:
    """Run a command again now that nothing is in its way, and compare its numbers."""
    log = place.parent / f"{place.name}.log-again"
    code = forked(command, log)
    counts.expect(code == 0, "could not go on", f"{what}: {code} {log.read_text(errors='replace')[-1500:]}")
    found = numbers_of(place / "outputs" / STUDY)
    found = {name: values for name, values in found.items() if "/" in name}  # without a report's tables
    counts.expect(found == undisturbed, "losses", f"{what}: other numbers")
    left = leftovers(place / "outputs", place / "cache")
    counts.expect(not left, "temporary files", f"{what}, at the end: {left}")


@contextmanager
def mounted(place: Path, kib: int) -> Iterator[None]:
    """A disk of some KiB at a folder."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def may_mount(folder: Path) -> bool:
    try:
        with mounted(folder / "probe", 64):
            return True
    except (subprocess.CalledProcessError, FileNotFoundError):
        return False


def size_of(place: Path) -> int:
    """The KiB of all files of a folder."""
    return sum(path.stat().st_blocks for path in place.rglob("*")) // 2


def full(folder: Path, kib: int, undisturbed: dict[str, Any], counts: Counts) -> None:
    """Run a job on a disk that is too small, then make the disk larger."""
    place = folder / f"disk-{kib}"
    with mounted(place, kib):
        command, log = job_in(folder, place), folder / f"{place.name}.log"
        code = forked(command, log)
        if code == 0:
            counts.add("fitted")
            return
        check(code, log, str(place), counts, f"a disk of {kib} KiB")
        left = leftovers(place / "outputs", place / "cache")
        counts.expect(not left, "temporary files", f"{kib} KiB: {left}")
        subprocess.run(["mount", "-o", "remount,size=1g", str(place)], check=True)
        go_on(command, place, undisturbed, counts, f"a disk of {kib} KiB")


def limited(folder: Path, size: int, undisturbed: dict[str, Any], counts: Counts) -> None:
    """Run a job whose files may not grow beyond a size."""
    place = folder / f"limit-{size}"
    place.mkdir()
    command, log = job_in(folder, place), folder / f"{place.name}.log"
    code = forked(command, log, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    if code == 0:
        counts.add("fitted")
        return
    check(code, log, str(place), counts, f"files of at most {size} bytes")
    left = leftovers(place / "outputs", place / "cache")
    counts.expect(not left, "temporary files", f"{size} bytes: {left}")
    go_on(command, place, undisturbed, counts, f"files of at most {size} bytes")


def heed_permissions() -> None:
    """Give up root's right to pass over permissions (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH); others have none."""
    if os.getuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
    assert libc.capget(header, sets) == 0
    for place in range(3):
        sets[place] &= ~0b110
    assert libc.capset(header, sets) == 0, os.strerror(ctypes.get_errno())


def forbidden(folder: Path, name: str, undisturbed: dict[str, Any], counts: Counts) -> None:
    """Run a job that may not write into a folder."""
    place = folder / f"forbidden-{name.replace('/', '-')}"
    (place / name).mkdir(parents=True)
    command, log = job_in(folder, place), folder / f"{place.name}.log"
    (place / name).chmod(0o555)
    check(forked(command, log, heed_permissions), log, str(place / name), counts, f"no permission for {name}")
    (place / name).chmod(0o755)
    go_on(command, place, undisturbed, counts, f"no permission for {name}")


def read_only(folder: Path, name: str, undisturbed: dict[str, Any], counts: Counts) -> None:
    """Run a job with a folder on a disk that was mounted read-only."""
    place = folder / f"read-only-{name}"
    (place / name).mkdir(parents=True)
    command, log = job_in(folder, place), folder / f"{place.name}.log"
    subprocess.run(["mount", "--bind", str(place / name), str(place / name)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place / name)], check=True)
        check(forked(command, log), log, str(place / name), counts, f"{name} read-only")
    finally:
        subprocess.run(["umount", "-l", str(place / name)], check=True)
    go_on(command, place, undisturbed, counts, f"{name} read-only")


def replaced(
    folder: Path, name: str, by_folder: bool, undisturbed: dict[str, Any], counts: Counts,
    command_in: Callable[[Path, Path], list[str]] = job_in, ready: Path | None = None,
) -> None:  # fmt: skip
    """Run a job that finds a file where it needs a folder, or the reverse. ``ready``: a place to begin from."""
    kind = "folder" if by_folder else "file"
    place = folder / f"{kind}-{name.replace('/', '-')}"
    if ready is not None:
        shutil.copytree(ready, place)
    path = place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if by_folder:
        path.mkdir()
        (path / "own").write_text("a user's own")
    else:
        path.write_text("a user's own")
    command, log = command_in(folder, place), folder / f"{place.name}.log"
    what = f"a {kind} at {name}"
    code = forked(command, log)
    if code == 0 and ready is None:
        counts.add("went on all the same")
    else:
        check(code, log, str(path), counts, what)
    if path.exists():
        (shutil.rmtree if path.is_dir() else os.unlink)(path)
    go_on(job_in(folder, place), place, undisturbed, counts, what)


def report_in(folder: Path, place: Path) -> list[str]:
    return ["report", str(place / "outputs" / STUDY), "--no-wandb"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, default=24, help="how many sizes of a full disk")
    parser.add_argument("--short", action="store_true", help="one try of each sort")
    options = parser.parse_args()
    counts = Counts()
    imported()
    with scratch() as folder:
        whole = folder / "whole"
        whole.mkdir()
        log = folder / "whole.log"
        assert forked(job_in(folder, whole), log) == 0, log.read_text()
        undisturbed = numbers_of(whole / "outputs" / STUDY)
        (job,) = (path.parent.relative_to(whole) for path in whole.glob("outputs/*/*/status.json"))
        largest, mounts = size_of(whole), may_mount(folder)
        print(f"the study takes {largest} KiB; disks can {'' if mounts else 'not '}be mounted", flush=True)
        for number in range(options.sizes):
            if mounts:
                full(folder, 8 + (largest + 200) * number // options.sizes // 4 * 4, undisturbed, counts)
            else:
                limited(folder, 1 + 100_000 * number // options.sizes, undisturbed, counts)
        short = slice(0, 1) if options.short else slice(None)
        for size in (10_000, 1000, 50_000, 100_000)[short]:  # smaller ones would cut the log of this program
            limited(folder, size, undisturbed, counts)
        for name in (str(job), "outputs", f"outputs/{STUDY}", "cache")[short]:
            forbidden(folder, name, undisturbed, counts)
        for name in ("outputs", "cache")[short] if mounts else ():
            read_only(folder, name, undisturbed, counts)
        kinds = sorted(path.name for path in (whole / "cache").iterdir() if path.is_dir())
        places = ["outputs", f"outputs/{STUDY}", str(job), f"{job}/hydra", f"{job}/checkpoints", "cache"]
        for name in (*places, *(f"cache/{kind}" for kind in kinds))[short]:
            replaced(folder, name, False, undisturbed, counts)
        files = [path.name for path in (whole / job).iterdir() if path.is_file()]
        for name in sorted(files)[short]:
            replaced(folder, f"{job}/{name}", True, undisturbed, counts)
        for name in ("report.html", "table.md")[short]:
            replaced(folder, f"outputs/{STUDY}/{name}", True, undisturbed, counts, report_in, ready=whole)
    return counts.end()


if __name__ == "__main__":
    sys.exit(main())
