"""``study plan`` of a finished grid."""

from benchmarks.lines._commands import command_line

LINE = command_line(
    "study plan, a finished grid of 60 jobs", ["experiments.study", "plan"], on="grid", before=26.0, at_most=3.0
)
