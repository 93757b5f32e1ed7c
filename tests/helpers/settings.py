"""Results of settings written by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from experiments.analysis.load import JobResult
from experiments.analysis.settings import SettingResult


def setting_of(
    labels: Mapping[str, Any],
    values_SQ: ArrayLike = ((0.0, 0.0),),
    query_ids: Sequence[str] = ("q1", "q2"),
    jobs: Sequence[str] = ("job",),
    measure: str = "RR@10",
) -> SettingResult:
    """A setting with the given labels and values; its jobs, by name, have the seeds 1, 2 ..."""
    results = (JobResult(Path(name), "finished", labels={"seed": seed}) for seed, name in enumerate(jobs, 1))
    return SettingResult(labels, tuple(results), np.asarray(values_SQ), tuple(query_ids), measure)
