"""Measure the speed table against peers: ``make bench [LINES="train_minilm ..."]``.

    PYTHONPATH=tests python -m benchmarks.bench [LINE ...] [--rounds N] [--threads N] [--data FOLDER] [--no-record]

Each line of ``benchmarks/lines`` is measured as ``harness.runner`` says; environments of peers are made by the Makefile
in ``.bench``. The records go to the file of ``docs/benchmarks`` for this kind of machine, those of other lines and
kinds stay, and ``docs/benchmarks.md`` is written from them.
"""

import argparse
import datetime
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import page
from benchmarks.harness.line import Line, load, names
from benchmarks.harness.machine import gpu_name, machine
from benchmarks.harness.results import record_of
from benchmarks.harness.runner import BenchError, Options, measure
from rich.console import Console

EMBEDDED = "API documentation of numpy and scipy"


def main() -> int:
    """Measure the lines, print the table, write records and page; returns 1 if a line could not be measured."""
    options = arguments()
    lines = {name: load(name) for name in options.lines or names()}
    console, failures = Console(width=max(160, Console().width)), []
    measured: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as root:
        for name, line in lines.items():
            if line.device == "gpu" and gpu_name() is None:
                console.print(f"{name}: skipped, this machine has no GPU")
                continue
            console.print(f"{name}: {line.title}")
            try:
                measured[name] = record(line, options, Path(root), name)
            except BenchError as error:
                failures.append(f"{name}: {error}")
                continue
            console.print(page.terminal({name: measured[name]}))
            if options.record:
                keep(name, line, measured[name])
    console.print(page.terminal(measured))
    for failure in failures:
        console.print(failure, markup=False)
    return bool(failures)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", nargs="*", help=f"all, or some of: {', '.join(names())}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", help="a folder of texts in BEIR's layout; default: API documentation")
    parser.add_argument("--no-record", dest="record", action="store_false", help="print only")
    return parser.parse_args()


def record(line: Line, options: argparse.Namespace, root: Path, name: str) -> dict[str, Any]:
    """Measure a line and return its record."""
    folder, shared = root / name, root / "shared"
    folder.mkdir()
    shared.mkdir(exist_ok=True)
    data = str(Path(options.data).resolve()) if options.data else None
    rounds = measure(line, Options(options.rounds, options.threads, data), folder, shared)
    how = {
        "command": f'make bench LINES="{name}"{f" OPTIONS={shlex.quote(shown(options))}" if shown(options) else ""}',
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "threads": options.threads,
        "data": Path(options.data).name if options.data else EMBEDDED,
    }
    return record_of(line, rounds, how)


def shown(options: argparse.Namespace) -> str:
    """Return the options that are not at their defaults."""
    usual = {"rounds": 5, "threads": 1}
    parts = [f"--{name} {getattr(options, name)}" for name, value in usual.items() if getattr(options, name) != value]
    return " ".join([*parts, *([f"--data {Path(options.data).name}"] if options.data else [])])


def keep(name: str, line: Line, new: dict[str, Any]) -> None:
    """Put a record in the file of its kind of machine and write the page anew."""
    path = page.RECORDS / f"{page.kind_of(line.device, new['machine'])}.json"
    page.write(path, {**page.read(path), name: new})
    gpu_lines = [other for other in names() if load(other).device == "gpu"]
    records = {kind: page.read(page.RECORDS / f"{kind}.json") for kind in page.KINDS}
    page.PAGE.write_text(page.page(records, gpu_lines), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
