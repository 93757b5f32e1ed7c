"""``train --help``."""

from benchmarks.lines._commands import command_line

LINE = command_line("train --help", ["experiments.train", "--help"], on="", before=3.0, at_most=1.5)
