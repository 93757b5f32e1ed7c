"""Share a cache and an outputs folder between users, and between clocks that differ: ``python -m stress.users``.

(PYTHONPATH=tests, and as root with a Python that others may read: the jobs run as users 20001 and 20002 of a group
20000, and as 20003 of another one.) Users of a group with umask 002 in a folder of that group: one trains a job, the
other a second one with the same cache, and runs and reports the first one's. With umask 022, and for the user of
another group, what is there can be read and not changed: each command says so in one line. Clocks: between two starts
all files are dated days ahead or years back, as a machine with another clock would have done. The numbers are those of
jobs that ran alone.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stress.races import trained
from stress.studies import Counts, forked, imported, leftovers, numbers_of, overrides_in, scratch

GROUP, FIRST, SECOND, STRANGER = 20000, 20001, 20002, 20003
DAY = 86_400.0
CLOCKS = (3 * DAY, -20 * 365 * DAY, 40 * 365 * DAY)  # seconds from now
REFUSED = ("no permission", "nothing may be written")
Said = tuple[int, str]


def as_user(user: int, group: int, umask: int) -> Callable[[], None]:
    """Return what makes a process one of a user."""

    def become() -> None:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
        os.umask(umask)
        os.environ["HOME"] = "/nonexistent"

    return become


def jobs_in(folder: Path, place: Path) -> list[list[str]]:
    """The commands of a study: two jobs and its report."""
    jobs = [["train", *overrides_in(folder, place, "study=s", f"seed={seed}")] for seed in (1, 2)]
    return [*jobs, ["report", str(place / "outputs" / "s"), "--no-wandb"]]


def run(command: Sequence[str], place: Path, first: Callable[[], None] = lambda: None) -> Said:
    """Run a command; returns its exit code and what it said."""
    log = place.parent / f"{place.name}.log"
    log.write_bytes(b"")
    code = forked(command, log, first)
    return code, log.read_text(errors="replace")


def shared_place(folder: Path, name: str, mode: int) -> Path:
    """Make a folder of the group, whose files are the group's too."""
    place = folder / name
    place.mkdir()
    os.chown(place, FIRST, GROUP)
    os.chmod(place, mode)
    return place


def of_one_group(folder: Path, alone: dict[str, Any], counts: Counts) -> None:
    """Let two users work in one folder with umask 002."""
    place = shared_place(folder, "group", 0o2775)
    job, second_job, report = jobs_in(folder, place)
    turns = [(FIRST, job), (SECOND, second_job), (SECOND, job), (FIRST, report), (SECOND, report), (FIRST, second_job)]
    for number, (user, command) in enumerate(turns):
        code, text = run(command, place, as_user(user, GROUP, 0o002))
        fine(code == 0, text, f"turn {number} of user {user}: exit code {code}", counts)
    expect_numbers(place, alone, "two users of a group", counts)


def of_others(folder: Path, alone: dict[str, Any], counts: Counts) -> None:
    """Let one user work with umask 022, and others go on in what they may not write."""
    place = shared_place(folder, "own", 0o755)
    for command in jobs_in(folder, place):
        code, text = run(command, place, as_user(FIRST, GROUP, 0o022))
        fine(code == 0, text, f"its owner: exit code {code}", counts)
    for user, group in ((SECOND, GROUP), (STRANGER, STRANGER)):
        for command in [*jobs_in(folder, place), ["train", *overrides_in(folder, place, "study=s", "seed=3")]]:
            code, text = run(command, place, as_user(user, group, 0o022))
            done = code == 0 or refused(code, text)
            fine(done, text, f"user {user}, {command[0]} {command[-1]}: exit code {code}", counts)
        own = folder / f"of-{user}"
        own.mkdir()
        os.chown(own, user, group)
        command = ["train", *overrides_in(folder, place, "study=s", f"outputs={own}")]
        code, text = run(command, own, as_user(user, group, 0o022))
        fine(refused(code, text), text, f"user {user}, own outputs, the other's cache: exit code {code}", counts)
    expect_numbers(place, alone, "what others could not write", counts)


def with_other_clocks(folder: Path, alone: dict[str, Any], counts: Counts) -> None:
    """Date all files ahead and back between two starts of the same commands."""
    place = folder / "clocks"
    place.mkdir()
    commands = jobs_in(folder, place)
    for ahead in CLOCKS:
        for command in commands:
            code, text = run(command, place)
            fine(code == 0, text, f"{ahead / DAY:.0f} days, {command[0]}: exit code {code}", counts)
            then = time.time() + ahead
            for path in place.rglob("*"):
                os.utime(path, (then, then))
    expect_numbers(place, alone, "other clocks", counts)


def refused(code: int, text: str) -> bool:
    return code == 2 and any(words in text for words in REFUSED)


def fine(holds: bool, text: str, what: str, counts: Counts) -> None:
    """Count a command, and whether it ended as it should, without a traceback."""
    counts.add("commands")
    counts.expect(holds, "wrong exit codes", f"{what}: {text[-1200:]}")
    counts.expect("Traceback" not in text, "tracebacks", f"{what}: {text[-2000:]}")
    print(f"{what}", flush=True)


def expect_numbers(place: Path, alone: dict[str, Any], what: str, counts: Counts) -> None:
    found = trained(numbers_of(place / "outputs" / "s"))
    counts.expect(found == alone, "losses", f"{what}: other numbers")
    left = leftovers(place / "outputs", place / "cache")
    counts.expect(not left, "temporary files", f"{what}: {left}")


def main() -> int:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        print("skipped: only root can start processes of several users")
        return 0
    closed = [path for path in (Path(sys.base_prefix), *Path(sys.base_prefix).parents) if not path.stat().st_mode & 1]
    if closed:
        print(f"skipped: other users cannot read this Python, as {closed[0]} is closed to them")
        return 0
    counts = Counts()
    imported()
    with scratch() as folder:
        for path in (folder, *folder.rglob("*")):
            os.chmod(path, 0o777 if path == folder else 0o755)
        place = folder / "alone"
        place.mkdir()
        for command in jobs_in(folder, place):
            code, text = run(command, place)
            assert code == 0, text
        alone = trained(numbers_of(place / "outputs" / "s"))
        of_one_group(folder, alone, counts)
        of_others(folder, alone, counts)
        with_other_clocks(folder, alone, counts)
    return counts.end()


if __name__ == "__main__":
    sys.exit(main())
