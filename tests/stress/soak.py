"""A long study, interrupted and gone on with: ``python -m stress.soak --jobs 200``.

(PYTHONPATH=tests.) A multirun of tiny jobs in one process is interrupted three times and started again. Of the process,
after each job: resident memory, open descriptors, seconds since the job before. None may grow from job to job. Then the
study's status and report are timed.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from stress.studies import ROOT, Counts, environment, new_mark, overrides_in, scratch, started

STUDY = "soak"
MEGABYTES_A_JOB, DESCRIPTORS_A_JOB, LONGER = 0.5, 0.05, 1.5  # what growth is: the last, of the seconds of a job
STATUS_SECONDS, REPORT_SECONDS = 2.0, 30.0
MANY = 36  # jobs of which the time on the clock is judged too; of fewer, other work on the machine decides it
SETTLED = 10  # jobs after which a process has imported and cached what it will


@dataclass(frozen=True)
class Sample:
    """A process after a job. ``part``: how often it was interrupted before. ``descriptors``: the fewest during the job,
    as it opens and closes them; what never comes back is in the fewest too. ``most``: the most.
    """

    part: int
    seconds: float
    megabytes: float
    descriptors: int
    most: int
    cpu: float  # seconds since the process began


def main() -> int:
    """Run the study, look at its growth, time what reads it; returns 1 if anything is above its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--interruptions", type=int, default=3)
    options = parser.parse_args()
    jobs, counts = options.jobs, Counts()
    with scratch() as folder:
        study = folder / "outputs" / STUDY
        seeds = ",".join(str(seed) for seed in range(1, jobs + 1))
        command = ["train", "-m", *overrides_in(folder, folder, f"study={STUDY}", f"seed={seeds}")]
        samples: list[Sample] = []
        for part in range(options.interruptions + 1):
            last = part == options.interruptions
            stop_at = None if last else jobs * (part + 1) // (options.interruptions + 1)
            samples += watched(command, study, part, stop_at, folder / "log", counts)
        counts.expect(finished(study) == jobs, "jobs lost", f"{finished(study)} of {jobs} are finished")
        counts.add("jobs", finished(study))
        judge(samples, counts)
        for name, limit, arguments in (
            ("status", STATUS_SECONDS, ["study", "status", str(study)]),
            ("report", REPORT_SECONDS, ["report", str(study), "--no-wandb"]),
        ):
            spent = cpu_seconds(arguments, folder / f"{name}.log")
            counts.most(f"{name}, CPU seconds", round(spent, 2))
            counts.expect(spent <= limit, "too slow", f"{name} took {spent:.1f} CPU seconds, over {limit:g}")
    return counts.end()


def watched(
    command: Sequence[str], study: Path, part: int, stop_at: int | None, log: Path, counts: Counts
) -> list[Sample]:
    """Run the multirun until it ends, or interrupt it once so many jobs are finished; returns a sample a job."""
    to_the_end = stop_at is None
    process = started(command, new_mark(), log)
    samples, known, before = [], finished(study), time.monotonic()
    opened: list[int] = []
    while process.poll() is None:
        opened += _descriptors(process.pid)
        if (now := finished(study)) > known and opened:
            moment = time.monotonic()
            seconds, (megabytes, cpu) = (moment - before) / (now - known), _size_of(process.pid)
            samples.append(Sample(part, seconds, megabytes, min(opened), max(opened), cpu))
            known, before, opened = now, moment, []
            if stop_at is not None and known >= stop_at:
                process.send_signal(signal.SIGTERM)
                stop_at = None
                counts.add("interruptions")
        time.sleep(0.02)
    if to_the_end:
        counts.expect(process.returncode == 0, "failures", log.read_text(encoding="utf-8")[-2000:])
    return samples


def finished(study: Path) -> int:
    """Return how many jobs have their metrics."""
    return sum(1 for _ in study.glob("*/metrics.json"))


def _size_of(process: int) -> tuple[float, float]:
    """Return the resident megabytes and the CPU seconds of a process; zeros once it has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    except (FileNotFoundError, ProcessLookupError):
        return 0.0, 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _descriptors(process: int) -> list[int]:
    """Return the number of descriptors that a process has open; nothing once it has ended."""
    try:
        return [len(os.listdir(f"/proc/{process}/fd"))]
    except (FileNotFoundError, ProcessLookupError):
        return []


def judge(samples: Sequence[Sample], counts: Counts) -> None:
    """Compare the jobs of the longest part with each other, after the first few."""
    parts = [
        [sample for sample in samples if sample.part == part and sample.megabytes]
        for part in {sample.part for sample in samples}
    ]
    own = max(parts, key=len)[SETTLED:]
    megabytes, descriptors = (slope([float(value) for value in values]) for values in (
        [sample.megabytes for sample in own], [sample.descriptors for sample in own]
    ))  # fmt: skip
    longer, longer_cpu = (
        _last_over_first([sample.seconds for sample in own[1:]]),
        _last_over_first([later.cpu - before.cpu for before, later in pairwise(own)]),
    )
    counts.most("megabytes at most", round(max(sample.megabytes for sample in samples)))
    counts.most("megabytes a job", round(megabytes, 3))
    counts.most("descriptors a job", round(descriptors, 3))
    counts.most("descriptors at most", max(sample.most for sample in samples))
    counts.most("last jobs over first", round(longer, 2))
    counts.most("the same in CPU seconds", round(longer_cpu, 2))
    counts.expect(megabytes <= MEGABYTES_A_JOB, "growth", f"memory grows by {megabytes:.2f} MB a job")
    counts.expect(descriptors <= DESCRIPTORS_A_JOB, "growth", f"descriptors grow by {descriptors:.2f} a job")
    counts.expect(longer_cpu <= LONGER, "growth", f"a job takes {longer_cpu:.2f} times the CPU seconds at the end")
    if len(own) >= MANY:
        counts.expect(longer <= LONGER, "growth", f"a job takes {longer:.2f} times as long at the end")


def _last_over_first(seconds: Sequence[float]) -> float:
    """Return the median of the last quarter of the jobs over that of the first."""
    quarter = max(1, len(seconds) // 4)
    return statistics.median(seconds[-quarter:]) / statistics.median(seconds[:quarter])


def slope(values: Sequence[float]) -> float:
    """Return by how much values grow from one to the next (Theil and Sen: the median over all pairs)."""
    pairs = [(j, i) for i in range(len(values)) for j in range(i)]
    return statistics.median((values[i] - values[j]) / (i - j) for j, i in pairs) if pairs else 0.0


def cpu_seconds(arguments: Sequence[str], log: Path) -> float:
    """Run a command; returns its CPU seconds."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", f"experiments.{arguments[0]}", *arguments[1:]],
            cwd=ROOT, env=environment(), stdout=file, stderr=file,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, log.read_text(encoding="utf-8")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
