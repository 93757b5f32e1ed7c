"""A finished grid, run again."""

from benchmarks.lines._commands import command_line

LINE = command_line(
    "study run, a finished grid of 60 jobs again",
    ["experiments.study", "run", "--no-report"],
    on="grid",
    before=69.0,
    at_most=3.0,
)
