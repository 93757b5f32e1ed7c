"""What the soak takes for growth, of samples whose values are written down."""

import pytest
from stress.soak import Sample, judge
from stress.studies import Counts


def judged(megabytes: float = 0.0, jobs_a_descriptor: int = 0, seconds: float = 0.0) -> list[str]:
    """The failures of fifty jobs whose memory, descriptors and seconds grow by so much a job."""
    samples, cpu = [], 0.0
    for job in range(50):
        took = 1 + seconds * job
        cpu += took
        fewest = 5 + (job // jobs_a_descriptor if jobs_a_descriptor else 0)
        samples.append(Sample(0, took, 600 + megabytes * job, fewest, 60, cpu))
    counts = Counts()
    judge(samples, counts)
    return counts.failures


def test_jobs_that_are_alike_are_no_growth():
    assert judged(megabytes=0.4, seconds=0.005) == []


@pytest.mark.parametrize(
    ("grows", "named"),
    [
        ({"megabytes": 0.6}, ["memory grows by 0.60 MB a job"]),
        ({"jobs_a_descriptor": 1}, ["descriptors grow by 1.00 a job"]),
        (
            {"seconds": 0.05},  # the medians are of the jobs 15 and 45, without the ten first ones: 1.75 and 3.25 s
            ["a job takes 1.86 times the CPU seconds at the end", "a job takes 1.86 times as long at the end"],
        ),
    ],
)
def test_what_grows_is_named(grows: dict[str, float], named: list[str]):
    assert judged(**grows) == [f"growth: {what}" for what in named]


def test_a_descriptor_that_one_job_in_ten_leaves_open_is_growth():
    (failure,) = judged(jobs_a_descriptor=10)
    assert failure.startswith("growth: descriptors grow by")
