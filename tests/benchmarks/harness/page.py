"""Render what is kept of the lines: a table on the terminal, and ``docs/benchmarks.md``.

Every number is read from the files of ``docs/benchmarks``, one for each kind of machine (``KINDS``), which map a line's
name to its record (``harness.results``).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

DOCS = Path(__file__).parents[3] / "docs"
PAGE, RECORDS = DOCS / "benchmarks.md", DOCS / "benchmarks"
Records = Mapping[str, Mapping[str, Any]]
KINDS = {"cpu_avx512": "On a CPU with AVX-512", "cpu": "On a CPU without AVX-512", "gpu": "On a GPU"}  # file -> title

TOP = """# Benchmarks

<!-- written by make bench from the files of docs/benchmarks -->
`make bench` measures this page on a fresh clone; `make bench LINES="train_minilm maxsim"` measures some of its lines
again and keeps the others. Each peer is installed by the command into an environment of its own and does the work by
its own trainer, `predict` or `encode`, on the same texts with the same weights. Its results are compared with ours
before anything is timed. Rounds alternate between the contestants; what a process needs to start, load and warm up is
not counted. "Ratio" is how many times as long the other takes, by the medians over rounds, with the least and the
greatest of a round. Seconds are {cpu}; on a GPU they are of the wall.
"""
CPU_CLOCK = "CPU seconds of all threads of the process, which other work on the machine hardly changes"
NO_GPU = (
    "No run of this line has been recorded: `make bench LINES={lines}` on a machine with one fills this section. "
    "What a step took on an H200: [Results: speed](results/speed.md#on-a-gpu)."
)
HEAD = "| work | against | ours | theirs | ratio | min - max | target | met | results differ by |"
RULE = "|---|---|---:|---:|---:|---:|---:|---|---:|"


def read(path: Path) -> dict[str, Any]:
    """Return the records of a file; none if it does not exist."""
    records: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return records


def write(path: Path, records: Mapping[str, Any]) -> None:
    """Write records, the lines in alphabetical order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def kind_of(device: str, machine: Mapping[str, Any]) -> str:
    """Return the kind of machine that a line was measured on. ``device``: the line's."""
    return "cpu_avx512" if device == "cpu" and "avx512" in machine["cpu"] else device


def seconds(value: float, unit: str) -> str:
    """Return a time of a unit with three digits: ``54.1 ms a group``."""
    scales = ((1, "s"), (1e3, "ms"), (1e6, "us"))
    factor, name = next((scale for scale in scales if value * scale[0] >= 1), scales[-1])
    scaled = value * factor
    digits = 0 if scaled >= 100 else 1 if scaled >= 10 else 2
    return f"{scaled:.{digits}f} {name} a {unit}"


def target(record: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Return the targets of a row."""
    ratio, most = row["target"], record["seconds_at_most"]
    parts = [*([f"{ratio:g}x"] if ratio is not None else []), *([f"{most:g} s"] if most is not None else [])]
    return " and ".join(parts) or "-"


def cells(record: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """Return the cells of a row of the table."""
    answer = {True: "yes", False: "no", None: "-"}[row["met"]]
    differs = f"{row['difference']:.0e}, of {row['tolerance']:.0e}" if "difference" in row else "-"
    return [
        record["title"],
        f"{row['against']} {row['version']}" if "version" in row else row["against"],
        seconds(row["ours"], record["unit"]),
        seconds(row["theirs"], record["unit"]),
        f"{row['ratio']:.2f}x",
        f"{row['least']:.2f} - {row['greatest']:.2f}",
        target(record, row),
        answer,
        differs,
    ]


def terminal(records: Records) -> Table:
    """Return the table for the terminal."""
    table = Table(*(name.strip() for name in HEAD.strip("| ").split("|")))
    for record in records.values():
        for row in record["rows"]:
            table.add_row(*cells(record, row))
    return table


def page(records: Mapping[str, Records], gpu_lines: list[str]) -> str:
    """Return the whole page. ``records``: of each kind of machine. ``gpu_lines``: the names of the lines for a GPU."""
    parts = [TOP.format(cpu=CPU_CLOCK)]
    for kind, title in KINDS.items():
        if records.get(kind):
            parts += [f"\n## {title}\n", *section(records[kind])]
        elif kind == "gpu":
            parts += [f"\n## {title}\n", NO_GPU.format(lines='"' + " ".join(gpu_lines) + '"')]
    return "\n".join(parts) + "\n"


def section(records: Records) -> Iterator[str]:
    """Yield the lines of the page for the records of a device."""
    yield HEAD
    yield RULE
    for record in records.values():
        for row in record["rows"]:
            yield f"| {' | '.join(cells(record, row))} |"
    notes = [f"- {title}: {text}" for record in records.values() for title, text in remarks(record)]
    if notes:
        yield ""
        yield from notes
    yield ""
    yield "### How each line was measured\n"
    for name, record in records.items():
        yield f"- `{name}`: {measured(record)}"


def remarks(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a line says besides its numbers."""
    if record["equal"]:
        yield record["title"], f"equal are the {record['equal']}."
    if record["note"]:
        yield record["title"], record["note"]
    for row in record["rows"]:
        if "source" in row:
            yield record["title"], f"{row['against']}: {row['source']}."
        if "rank_correlation" in row:
            yield record["title"], f"rank correlation with {row['against']}: {row['rank_correlation']:.4f}."
    if "flops" in record:
        peak = record["machine"].get("bf16_peak")
        share = f", {record['flops'] / peak:.0%} of the card's {peak / 1e12:.0f}" if peak else ""
        yield record["title"], f"ours computes {record['flops'] / 1e12:.1f} TFLOP a second without padding{share}."


def measured(record: Mapping[str, Any]) -> str:
    """Return command, date, machine, texts and versions of a line."""
    machine = record["machine"]
    device = f"{machine['gpu']}, {machine['cpu']}" if "gpu" in machine and record["clock"] == "wall" else machine["cpu"]
    versions = "; ".join(
        f"{label}: {', '.join(f'{name} {version}' for name, version in own.items())}"
        for label, own in record["versions"].items()
    )
    return (
        f"`{record['command']}`, {record['date']}, {device}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}, Python {machine['python']}; threads: {record['threads']}, "
        f"rounds: {len(next(iter(record['rounds'].values())))}, texts: {record['data']}. {versions}"
    )
