"""Start of a job to its first step."""

from benchmarks.harness.line import Contestant, Line, Recorded
from benchmarks.lines._commands import ISSUE

LINE = Line(
    title="start of a job to its first step, warm caches, BERT 2 x 32",
    unit="start",
    ours=Contestant("ours", program="job_start", settings={"jobs": "first"}, packages=("pytorch-lightning",)),
    against=(Recorded("before", seconds=12.0, source=ISSUE, target=3.0),),
    rounds=3,
)
