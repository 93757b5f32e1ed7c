"""``study status`` of a finished grid."""

from benchmarks.lines._commands import command_line

LINE = command_line(
    "study status, a finished grid of 60 jobs", ["experiments.study", "status"], on="grid", before=11.0, at_most=1.5
)
