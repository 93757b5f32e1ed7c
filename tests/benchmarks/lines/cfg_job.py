"""``train --cfg job``."""

from benchmarks.lines._commands import command_line

LINE = command_line("train --cfg job", ["experiments.train", "--cfg", "job"], on="job", before=3.0, at_most=1.5)
