"""Damage what the package reads, thousands of times, and count what becomes of it: ``make fuzz N=10000 SEED=7``.

Every input is accepted with the right values or refused by one short line; anything else is printed with the command
that repeats it, and the exit code is 1. ``--subject readers --input 123 --keep FOLDER`` repeats one input and keeps its
files.
"""

import argparse
import importlib
import logging
import os
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stress.fuzzing.verdicts import ACCEPTED, FAILED, REFUSED, Outcome

SHARES = {"readers": 0.55, "overrides": 0.2, "tables": 0.1, "studies": 0.15}  # of all inputs
SHOWN = 60  # failures that are printed in full


def one(subject: str, seed: int, index: int, folder: Path) -> tuple[str, Outcome, bytes]:
    """Make and judge the input ``index`` of a subject in a folder."""
    module = importlib.import_module(f"stress.fuzzing.{subject}")
    return module.fuzz(random.Random(f"{seed} {subject} {index}"), folder)


def fuzz(subject: str, seed: int, inputs: Sequence[int], keep: Path | None = None) -> tuple[Counter[str], list[str]]:
    """Judge inputs of a subject; returns how many had each verdict, and a text for each failure."""
    counts: Counter[str] = Counter()
    failures = []
    for index in inputs:
        with tempfile.TemporaryDirectory() as scratch:
            what, outcome, damaged = one(subject, seed, index, keep or Path(scratch))
        counts[outcome.verdict] += 1
        if outcome.verdict == FAILED:
            failures.append(
                f"{subject} {index}: {what}: {outcome.why}\n    input: {damaged[:160]!r}"
                f"{f' ... of {len(damaged):,} bytes' if len(damaged) > 160 else ''}\n"
                f"    again: python -m stress.fuzz --seed {seed} --subject {subject} --input {index} --keep FOLDER"
            )
        if keep is not None:
            print(f"{what}\n{outcome.verdict}: {outcome.why}")
    return counts, failures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Damage what the package reads, and count what becomes of it.")
    parser.add_argument("number", nargs="?", type=int, default=10_000, help="inputs of all subjects together")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--subject", choices=SHARES, help="this subject alone")
    parser.add_argument("--input", type=int, help="this input of the subject alone")
    parser.add_argument("--keep", type=Path, help="folder in which its files are kept")
    options = parser.parse_args(arguments)
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    seed = int(time.time()) if options.seed is None else options.seed
    prepare()
    failed, began, every = 0, time.monotonic(), Counter[str]()
    for subject in [options.subject] if options.subject else SHARES:
        inputs = range(round(options.number * (1 if options.subject else SHARES[subject])))
        started = time.monotonic()
        counts, failures = fuzz(subject, seed, [options.input] if options.input is not None else inputs, options.keep)
        every += counts
        for failure in failures[:SHOWN]:
            print(failure)
        if len(failures) > SHOWN:
            print(f"... and {len(failures) - SHOWN:,} more failures")
        print(_line(subject, counts, time.monotonic() - started), flush=True)
        failed += len(failures)
    print(f"{_line('together', every, time.monotonic() - began)}; seed {seed}")
    return int(failed > 0)


def prepare() -> None:
    """Silence what is logged of damaged inputs, and ask no network."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ["WANDB_MODE"] = "offline"
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    from experiments.config import compose

    compose.register()


def _line(name: str, counts: Counter[str], seconds: float) -> str:
    each = ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in (ACCEPTED, REFUSED, FAILED))
    return f"{name:10} {counts.total():,} inputs: {each}; {seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
