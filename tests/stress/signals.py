"""Stop small studies by signals, and run them again: ``python -m stress.signals --count 50`` (PYTHONPATH=tests).

Every study is stopped up to three times, at moments drawn at random between its start and its end, then left to end.
The third time, every second study is told twice, and must then end at once.
Printed are the tries, what was lost (numbers that differ from an undisturbed run), exit codes that say nothing, states
other than interrupted, processes that are left after ten seconds, temporary files, and the slowest stop.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path

from stress.studies import Counts, alive, leftovers, moments, new_mark, numbers_of, overrides_in, scratch, started

from experiments.common.stopping import SAME_SECONDS
from experiments.job_files.status import status_of

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LIMIT, AT_ONCE = 10.0, 2.0  # seconds until the last process has ended, after a signal and after a second one
GRID = ["seed=1,2"]
JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
SUBMITIT = ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=30"]
RAY = ["hydra/launcher=ray", "hydra.launcher.n_jobs=2"]
TRAIN, STUDY = ["train", "-m", *GRID], ["study", "run", "--no-report", *GRID]
KINDS = {
    "job": ["train"],
    "basic": TRAIN,
    "joblib": [*TRAIN, *JOBLIB],
    "submitit": [*TRAIN, *SUBMITIT],
    "ray": [*TRAIN, *RAY],
    "study": STUDY,
    "study_joblib": [*STUDY, *JOBLIB],
    "study_submitit": [*STUDY, *SUBMITIT],
    "study_ray": [*STUDY, *RAY],
}
PLUGINS = "hydra_plugins.hydra_"
NEEDS = {"joblib": f"{PLUGINS}joblib_launcher", "submitit": f"{PLUGINS}submitit_launcher", "ray": "ray"}


def available(kind: str) -> bool:
    needed = next((package for name, package in NEEDS.items() if kind.endswith(name)), None)
    try:
        return needed is None or find_spec(needed) is not None
    except ModuleNotFoundError:
        return False


def stop(
    command: Sequence[str], mark: str, log: Path, after: float, number: int, counts: Counts, group: bool, twice: bool
) -> int | None:
    """Start a command and send it, or its group, a signal, or two; returns its exit code, None if it ended before."""
    process = started(command, mark, log)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        send = os.killpg if group else os.kill
        send(process.pid, number)
        if twice:
            time.sleep(1.4 * SAME_SECONDS)
            send(process.pid, number)
        sent = time.monotonic()
        # ps may not see the environment of a process that ends
        while ((left := alive(mark)) or process.poll() is None) and time.monotonic() - sent < LIMIT + 5:
            time.sleep(0.1)
        took = time.monotonic() - sent
        counts.expect(
            took <= (AT_ONCE if twice else LIMIT), "left running", f"after {took:.1f} s: {list(left.values())}"
        )
        counts.most("slowest second stop (s)" if twice else "slowest stop (s)", round(took, 2))
        for one in alive(mark):
            os.kill(one, signal.SIGKILL)
        return process.wait()
    assert process.returncode == 0, log.read_text(errors="replace")[-2000:]
    return None


def check_stopped(code: int, number: int, study: Path, counts: Counts, what: str, log: Path) -> None:
    """Count what is wrong after a stop."""
    text = log.read_text(errors="replace")
    # before the command has begun to answer signals, the system's own answer is to end it
    counts.expect(code in (128 + number, -number), "wrong exit codes", f"{what}: {code}: {text[-1500:]}")
    states = {path.parent.name: status_of(path.parent).state for path in study.glob("*/status.json")}
    counts.expect(set(states.values()) <= {"interrupted", "done"}, "wrong states", f"{what}: {states}")
    begun = bool(states)
    counts.expect("Traceback" not in text or not begun, "tracebacks", f"{what}: {text[-1500:]}")


def attacked(
    kind: str, folder: Path, number: int, times: Iterator[float], count: int, counts: Counts, signals: Iterator[int]
) -> Path:
    """Stop one study up to three times, then let it end; returns its folder of results."""
    place = folder / f"{kind}-{number}"
    place.mkdir()
    mark, study = new_mark(), place / "outputs" / "s"
    command = [*KINDS[kind], *overrides_in(folder, place, "study=s", "budget.size=480", "validation.times=3")]
    for attempt in range(count):
        told, after = next(signals), next(times)
        log = place / f"log-{attempt}"
        group = kind in ("job", "basic", "joblib", "ray") and attempt % 2 == 1  # as Ctrl-C in a terminal
        twice = attempt == 2 and number % 2 == 0
        to = f"{' to the group' if group else ''}{' and again' if twice else ''}"
        what = f"{kind} {number}.{attempt}, {signal.Signals(told).name}{to} after {after:.1f} s"
        code = stop(command, mark, log, after, told, counts, group, twice)
        if code is None:
            counts.add("ended before the signal")
            break
        counts.add("signals")
        check_stopped(code, told, study, counts, what, log)
        print(f"{what}: exit code {code}", flush=True)
    log = place / "log-end"
    code = started(command, mark, log).wait(600)
    counts.expect(code == 0, "could not go on", f"{kind} {number}: {log.read_text(errors='replace')[-2000:]}")
    left = leftovers(place / "outputs", place / "cache")
    counts.expect(not left, "temporary files", f"{kind} {number}: {left}")
    return study


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    counts, signals = Counts(), cycle(SIGNALS)
    kinds = [kind for kind in options.kinds if available(kind)]
    print(
        f"kinds: {', '.join(kinds)}; not installed: {', '.join(set(options.kinds) - set(kinds)) or 'none'}", flush=True
    )
    with scratch() as folder:
        undisturbed, longest = {}, {}
        for kind in kinds:
            began = time.monotonic()
            study = attacked(kind, folder, 0, iter(()), 0, counts, signals)
            undisturbed[kind], longest[kind] = numbers_of(study), time.monotonic() - began
        times = {kind: moments(options.seed, longest[kind]) for kind in kinds}
        for number, kind in enumerate(cycle(kinds), 1):
            left = options.count - int(counts.values.get("signals", 0))
            if left <= 0:
                break
            study = attacked(kind, folder, number, times[kind], min(3, left), counts, signals)
            counts.add("studies")
            counts.expect(numbers_of(study) == undisturbed[kind], "losses", f"{kind} {number}: other numbers")
    return counts.end()


if __name__ == "__main__":
    sys.exit(main())
