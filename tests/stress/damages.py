"""Damage every file of a finished and of an interrupted job in every way: ``python -m stress.damages [--every N]``.

For each damage the commands that read the job look at it (status, verify, report, compare, probe), and it is started
again. Counted are tracebacks, numbers that are not the job's own, and damages of promised files that nobody names.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from helpers.damages import DAMAGES, Damaged, TwoJobs, files_of, may_be_silent
from stress.studies import write_inputs


def main() -> int:
    """Run the matrix; returns 1 if anything was lost or believed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="try every N-th damage only")
    parser.add_argument("--first", type=int, default=0, help="number of the first damage to try")
    parser.add_argument("--only", default="", help="names of files that contain this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return damage_all(Path(folder), options)


def damage_all(place: Path, options: argparse.Namespace) -> int:
    """Damage the files of two jobs below a folder; print each problem and the counts."""
    jobs = TwoJobs.run_in(place, *write_inputs(place), "study=s")
    sound = jobs.read(place / "sound")
    counts: Counter[str] = Counter()
    cases = [
        (job, name, damage)
        for job in (jobs.finished, jobs.stopped)
        for name in files_of(job)
        for damage in DAMAGES
        if options.only in name
    ]
    for job, name, damage in cases[options.first :: options.every]:
        damaged = Damaged(job, place / "copy", name, damage, jobs.whole)
        damaged.look()
        damaged.read_on(jobs.overrides, sound)
        seen = damaged.resume(jobs.overrides)
        counts["damages"] += 1
        named = Path(name).name in seen.said
        problems = [*seen.crashes, *(f"believed: {number}" for number in seen.believed)]
        problems += [] if named or may_be_silent(name, job == jobs.finished) else ["not named"]
        counts["tracebacks"] += len(seen.crashes)
        counts["wrong numbers"] += len(seen.believed)
        counts["not named"] += "not named" in problems
        counts["ended with the job's numbers" if seen.resumed is not None else "refused with the way out"] += 1
        for problem in problems:
            print(f"{job.parents[1].name}: {name}, {damage}: {problem}", flush=True)
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return int(bool(counts["tracebacks"] + counts["wrong numbers"] + counts["not named"]))


if __name__ == "__main__":
    sys.exit(main())
