"""Start several processes at once over one cache and one outputs folder: ``python -m stress.races --count 8``.

(PYTHONPATH=tests.) In turn: the same job several times, of which one runs and the others say that it does; different
jobs that need the same cache entries; the same with a prerequisite that all need; a job next to reports of its study;
and all of it with one process killed on the way. All is run again until it is done, and the numbers are compared with
those of jobs that ran alone. Printed are the races, losses, tracebacks and temporary files.
"""

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stress.studies import Counts, imported, leftovers, numbers_of, overrides_in, run_in_fork, scratch

STUDY = "s"
BUSY = "another process is running the job"
TEACHER = (
    "++loss.job={loss:lce,model.max_length:48,model.max_query_tokens:16,batch.size:4,budget.size:32,negatives.count:3,"
    "negatives.depth:20,first_stage_depth:10,validation.depth:10,validation.times:2,seed:2}"
)


def jobs_of(race: str, folder: Path, place: Path, processes: int) -> list[list[str]]:
    """The commands that a race starts at once."""
    seeds = [str(seed) for seed in range(1, processes + 1)]
    if race == "one job":
        return [["train", *overrides_in(folder, place, "study=s")]] * processes
    if race == "one cache":
        return [["train", *overrides_in(folder, place, "study=s", f"seed={seed}")] for seed in seeds]
    if race == "one teacher":
        return [
            ["train", *overrides_in(folder, place, "study=s", "loss=margin_mse", TEACHER, f"seed={seed}")]
            for seed in seeds
        ]
    return [
        *(["train", *overrides_in(folder, place, "study=s", f"seed={seed}")] for seed in seeds[:-1]),
        ["report", str(place / "outputs" / STUDY), "--no-wandb"],
    ]


RACES = ("one job", "one cache", "one teacher", "job and report")


def at_once(commands: Sequence[list[str]], place: Path, kill: float | None) -> list[tuple[int, str]]:
    """Run commands at the same time; returns their exit codes and what they said. ``kill``: seconds until one dies."""
    logs = [place / f"log-{number}" for number in range(len(commands))]
    for log in logs:
        log.unlink(missing_ok=True)
    children = [run_in_fork(command, log) for command, log in zip(commands, logs, strict=True)]
    if kill is not None:
        time.sleep(kill)
        os.kill(children[0], signal.SIGKILL)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return [(code, log.read_text(errors="replace")) for code, log in zip(codes, logs, strict=True)]


def run_race(
    race: str, number: int, commands: Sequence[list[str]], place: Path, undisturbed: dict[str, Any],
    kill: float | None, counts: Counts,
) -> None:  # fmt: skip
    """Start the commands of a race at once, then one after the other, and compare."""
    what = f"{race} {number}{'' if kill is None else f', one killed after {kill:.1f} s'}"
    for code, text in at_once(commands, place, kill):
        counts.expect("Traceback" not in text, "tracebacks", f"{what}: {text[-2000:]}")
        fine = code == 0 or code == -signal.SIGKILL or BUSY in text or "report" in race
        counts.expect(fine, "wrong exit codes", f"{what}: {code} {text[-1000:]}")
    for command in commands:
        ((code, text),) = at_once([command], place, None)
        counts.expect(code == 0, "could not go on", f"{what}: {code} {text[-1500:]}")
    found = trained(numbers_of(place / "outputs" / STUDY))
    if race == "one teacher":  # whose scores are rounded by the batch in which the first job asks for them
        found, undisturbed = measured(found), measured(undisturbed)
    counts.expect(found == undisturbed, "losses", f"{what}: other numbers")
    left = leftovers(place / "outputs", place / "cache")
    counts.expect(not left, "temporary files", f"{what}: {left}")
    counts.add("races")
    print(f"{what}: done", flush=True)


def trained(numbers: dict[str, Any]) -> dict[str, Any]:
    return {name: values for name, values in numbers.items() if "/" in name}


def measured(numbers: dict[str, Any]) -> dict[str, Any]:
    """Leave out the digests of weights."""
    return {name: values for name, values in numbers.items() if not name.endswith(".safetensors")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--processes", type=int, default=3, help="how many processes race at once")
    options = parser.parse_args()
    counts, rng = Counts(), random.Random(1)
    imported()
    with scratch() as folder:
        alone, longest = {}, 0.0
        for race in RACES:
            place = folder / race.replace(" ", "-")
            place.mkdir()
            began = time.monotonic()
            for command in jobs_of(race, folder, place, options.processes):
                ((code, text),) = at_once([command], place, None)
                assert code == 0, text
            alone[race], longest = trained(numbers_of(place / "outputs" / STUDY)), time.monotonic() - began
        for number in range(options.count):
            race = RACES[number % len(RACES)]
            kill = rng.uniform(0.2, longest / 2) if number // len(RACES) % 2 else None
            place = folder / f"race-{number}"
            place.mkdir()
            commands = jobs_of(race, folder, place, options.processes)
            run_race(race, number, commands, place, alone[race], kill, counts)
    return counts.end()


if __name__ == "__main__":
    sys.exit(main())
