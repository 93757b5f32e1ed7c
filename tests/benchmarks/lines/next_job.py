"""Time before the first step of the second and later jobs of a grid."""

from benchmarks.harness.line import Contestant, Line

LINE = Line(
    title="second and later jobs of a grid, before their first step, BERT 2 x 32",
    unit="start",
    ours=Contestant("ours", program="job_start", settings={"jobs": "next"}, packages=("pytorch-lightning",)),
    against=(Contestant("the first job", program="job_start", settings={"jobs": "first"}, target=10.0),),
    seconds_at_most=5.0,
    rounds=3,
)
