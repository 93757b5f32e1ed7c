"""Claims about literal settings, and their verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from helpers.settings import setting_of

from experiments.analysis.claims import Verdict, judge
from experiments.analysis.settings import SettingResult
from experiments.config.paper_table import Claim
from experiments.job_files.per_query import PerQuery

QUERIES = tuple(f"q{i}" for i in range(60))
# two thirds of the queries at 0.5, the others at 0 and 1: they differ between queries, not between cells
LEVEL_Q = np.tile([0.5, 0.0, 0.5, 1.0, 0.5, 0.5], 10)
# what seeds and cells add by chance: 0 on average, and different at every query and seed
WOBBLE_Q = np.tile([0.05, -0.05, 0.02, -0.02], 15)


def cell(gain: float, seeds: int = 3, query_ids: Sequence[str] = QUERIES, **labels: Any) -> SettingResult:
    """A cell whose mean is 0.5 plus ``gain``; its seeds differ query by query but not on average."""
    setting = {"loss": "lce", "negatives": 7, "source": "bm25", "data": "apidocs"} | labels
    rows = [LEVEL_Q + gain + np.roll(WOBBLE_Q, seed) for seed in range(seeds)]
    name = "-".join(map(str, setting.values()))
    jobs = tuple(f"{name}-{seed}" for seed in range(seeds))
    return setting_of(setting, rows, query_ids, jobs)


def noisy(gain: float, seed: int, seeds: int = 3, **labels: Any) -> SettingResult:
    """A cell whose queries scatter by 0.3."""
    one = cell(0.0, seeds, **labels)
    values_SQ = gain + np.random.default_rng(seed).normal(0.5, 0.3, one.values_SQ.shape)
    return replace(one, values_SQ=values_SQ)


def claim(kind: str = "beats", **keys: Any) -> Claim:
    if kind in ("beats", "within"):
        keys = {"better": {"loss": "lce"}, "worse": {"loss": "bce"}} | keys
    return Claim(says="LCE is better", kind=kind, **keys)


def verdict(one: Claim, *samples: SettingResult, stand_ins: Mapping[str, str] | None = None) -> Verdict:
    (found,) = judge([one], samples, [], stand_ins or {})
    return found


def re_ranking(sample: SettingResult, first_stage: float) -> SettingResult:
    """The cell as one that re-ranked a first stage whose mean is 0.5 plus ``first_stage``."""
    table = PerQuery(QUERIES, {}, {sample.measure: LEVEL_Q + first_stage})
    jobs = tuple(replace(job, per_query={"bm25": table}) for job in sample.jobs)
    return replace(sample, labels={**sample.labels, "first_stage": "bm25"}, jobs=jobs)
