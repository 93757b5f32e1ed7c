"""Empty the cache under a running job: ``python -m stress.cache_loss --count 40``.

(PYTHONPATH=tests.) The cache's folder is deleted before the k-th file operation of a job, of a measurement and of a
probe, for k spread evenly. Either the command ends with the numbers of an undisturbed run, or in one line that says
what happened; run again, it ends with those numbers.
"""

import argparse
import shutil
import sys
from pathlib import Path

from stress.kills import KINDS, STUDY, operations, watched
from stress.studies import Counts, forked, imported, numbers_of, scratch

ATTACKED = ("job", "grid", "evaluate", "probe", "retrieve")
SHORT = 600  # characters of a message


def main() -> int:
    """Attack each kind of command; returns 1 if anything was lost or a message was not one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40)
    count, counts = parser.parse_args().count, Counts()
    imported()
    with scratch() as folder:
        for name in ATTACKED:
            attack_kind(name, folder, max(1, count // len(ATTACKED)), counts)
    return counts.end()


def attack_kind(name: str, folder: Path, count: int, counts: Counts) -> None:
    """Empty the cache at ``count`` moments of a kind of command."""
    kind, place, log = KINDS[name], folder / "place", folder / "log"
    before = folder / "before"
    for old in (place, before):
        shutil.rmtree(old, ignore_errors=True)
    before.mkdir()
    if kind.begins_with:
        place.mkdir()
        forked(KINDS[kind.begins_with].command(folder, place), log)
        shutil.rmtree(before)
        shutil.move(place, before)
    shutil.copytree(before, place)
    command = kind.command(folder, place)
    total = operations(command, place, log)
    whole = numbers_of(place / "outputs" / STUDY)
    for number in range(1, total + 1, max(1, total // count)):
        shutil.rmtree(place, ignore_errors=True)
        log.unlink(missing_ok=True)
        shutil.copytree(before, place)

        def empty(reached: int, at: int = number) -> None:
            if reached == at:
                shutil.rmtree(place / "cache", ignore_errors=True)

        code = forked(command, log, watched(place, empty))
        text, what = log.read_text(errors="replace"), f"{name} at {number} of {total}"
        counts.add("emptied")
        if code:
            counts.add("ended in a message")
            last = text.strip().splitlines()[-1] if text.strip() else ""
            counts.expect("Traceback" not in text and len(last) <= SHORT, "tracebacks", f"{what}: {text[-1500:]}")
            again = forked(command, log)
            counts.expect(again == 0, "could not go on", f"{what}: {log.read_text(errors='replace')[-1500:]}")
        found = numbers_of(place / "outputs" / STUDY)
        different = [path for path in whole.keys() | found.keys() if whole.get(path) != found.get(path)]
        counts.expect(not different, "losses", f"{what}: {different}")


if __name__ == "__main__":
    sys.exit(main())
