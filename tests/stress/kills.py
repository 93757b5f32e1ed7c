"""Kill small studies between two file operations, and run them again: ``python -m stress.kills --count 200``.

(PYTHONPATH=tests.) The operations of a command on its outputs and its cache (open, rename, remove, make and delete a
folder, truncate) are counted first. Then it is killed by SIGKILL before the k-th of them, for k spread evenly from the
first to the last, and run again; every second time it is killed twice. What it has computed then must be equal to what
an undisturbed run computes, and no temporary file may be left. Kinds: a job, a grid of two jobs, the evaluation of a
trained model, a probe, the retrieval of a first stage, the report of a study.
"""

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stress.studies import Counts, forked, imported, leftovers, numbers_of, overrides_in, scratch

EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink")
STUDY = "s"
JOB = ("study=s", "validation.times=4", "callbacks.checkpoint.minutes=0")


@dataclass(frozen=True)
class Kind:
    """A command. ``begins_with``: the place of another kind's results that it needs."""

    command: Callable[[Path, Path], list[str]]
    begins_with: str = ""


def model_in(place: Path) -> Path:
    """The model of the job in a place."""
    return next(place.glob(f"outputs/{STUDY}/lce-*/model"))


KINDS = {
    "job": Kind(lambda folder, place: ["train", *overrides_in(folder, place, *JOB)]),
    "grid": Kind(lambda folder, place: ["train", "-m", *overrides_in(folder, place, *JOB, "seed=1,2")]),
    "evaluate": Kind(
        lambda folder, place: ["evaluate", str(model_in(place)), *overrides_in(folder, place, "study=s")], "job"
    ),
    "probe": Kind(
        lambda folder, place: ["probe", *overrides_in(folder, place, "study=s", f"checkpoint={model_in(place)}")], "job"
    ),
    "retrieve": Kind(lambda folder, place: ["retrieve", *overrides_in(folder, place, "study=s")]),
    "report": Kind(lambda folder, place: ["report", str(place / "outputs" / STUDY), "--no-wandb"], "grid"),
}


def watched(place: Path, act: Callable[[int], None]) -> Callable[[], None]:
    """Return a function that makes its process call ``act`` with the number of each operation below a place."""

    def begin() -> None:
        numbers = iter(range(1, sys.maxsize))
        below = f"{place}{os.sep}"

        def hear(event: str, arguments: tuple[Any, ...]) -> None:
            named = event in EVENTS and isinstance(arguments[0], str | bytes | os.PathLike)
            if named and os.fsdecode(arguments[0]).startswith(below):
                act(next(numbers))

        sys.addaudithook(hear)

    return begin


def operations(command: list[str], place: Path, log: Path) -> int:
    """Run a command to its end; return how many file operations it did."""
    tally = log.with_suffix(".tally")
    handle = os.open(tally, os.O_WRONLY | os.O_CREAT, 0o600)

    def note(number: int) -> None:
        os.pwrite(handle, f"{number:9d}".encode(), 0)

    code = forked(command, log, watched(place, note))
    os.close(handle)
    assert code == 0, log.read_text(errors="replace")
    return int(tally.read_text())


def killed_at(command: list[str], place: Path, log: Path, number: int) -> int:
    """Run a command and kill it before its file operation of that number; returns its exit code."""

    def die(reached: int) -> None:
        if reached == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return forked(command, log, watched(place, die))


def attack(
    name: str, number: int, again: bool, folder: Path, whole: dict[str, Path], undisturbed: dict[str, Any],
    counts: Counts,
) -> None:  # fmt: skip
    """Kill a command of a kind once or twice, then let it end, and compare."""
    kind, place, log = KINDS[name], folder / "place", folder / "log"
    shutil.rmtree(place, ignore_errors=True)
    log.unlink(missing_ok=True)
    if kind.begins_with:
        shutil.copytree(whole[kind.begins_with], place)
    else:
        place.mkdir()
    command = kind.command(folder, place)
    for _ in range(1 + again):
        counts.add("kills" if killed_at(command, place, log, number) == -signal.SIGKILL else "ended before")
    code = forked(command, log)
    text = log.read_text(errors="replace")
    what = f"{name} at {number}"
    counts.expect(code == 0 and "Traceback" not in text, "could not go on", f"{what}: {code} {text[-2000:]}")
    found = numbers_of(place / "outputs" / STUDY)
    different = [path for path in undisturbed.keys() | found.keys() if undisturbed.get(path) != found.get(path)]
    counts.expect(not different, "losses", f"{what}: {different}")
    left = leftovers(place / "outputs", place / "cache")
    counts.expect(not left, "temporary files", f"{what}: {left}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="how many kills")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument(
        "--at", type=int, nargs="*", help="numbers of the operations to kill before, instead of --count"
    )
    options = parser.parse_args()
    counts = Counts()
    imported()
    with scratch() as folder:
        whole, undisturbed, numbers = {}, {}, {}
        needed = {*options.kinds, *(KINDS[name].begins_with for name in options.kinds)}
        for name in filter(needed.__contains__, KINDS):  # in this order: some begin with the results of earlier ones
            kind, place = KINDS[name], folder / "place"  # the name of a job holds the path of its model
            if kind.begins_with:
                shutil.copytree(whole[kind.begins_with], place)
            else:
                place.mkdir()
            numbers[name] = operations(kind.command(folder, place), place, folder / f"{name}.log")
            undisturbed[name] = numbers_of(place / "outputs" / STUDY)
            whole[name] = place.rename(folder / f"whole-{name}")
            print(f"{name}: {numbers[name]} file operations", flush=True)
        tries = -(-options.count * 2 // (3 * len(options.kinds)))  # every second one has two kills
        for name in options.kinds:
            spread = [1 + i * (numbers[name] - 1) // max(1, tries - 1) for i in range(tries)]
            for i, at in enumerate(options.at or spread):
                attack(name, at, bool(i % 2), folder, whole, undisturbed[name], counts)
            print(f"{name}: {counts.line()}", flush=True)
    return counts.end()


if __name__ == "__main__":
    sys.exit(main())
