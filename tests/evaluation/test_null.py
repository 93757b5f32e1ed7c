"""How often a comparison of equals is taken for a difference, and how often a difference is found.

``docs/statistics_simulated.md`` has the rates, measured on the same simulated rankings.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from helpers.simulated import KINDS, two_settings

from experiments.evaluation.comparison import Comparison, compare


def comparisons(
    kind: str, seeds: int, queries: int, sd: float, times: int, gain: float = 0.0, start: int = 0
) -> Iterator[Comparison]:
    """Comparisons of two settings that differ by ``gain``."""
    generator = np.random.default_rng([start, KINDS.index(kind), seeds, queries, int(1000 * sd)])
    for _ in range(times):
        better, worse = two_settings(generator, kind, seeds, queries, sd, gain)
        yield compare(better, worse, range(seeds), None if kind == "fixed" else range(seeds), resamples=0)


def found(kind: str, seeds: int, queries: int, sd: float, times: int, gain: float = 0.0) -> float:
    """The share of comparisons that are declared a difference."""
    return float(np.mean([one.p <= 0.05 for one in comparisons(kind, seeds, queries, sd, times, gain)]))


@pytest.mark.parametrize("sd", [0.0, 0.05])
@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_few_equals_are_taken_for_a_difference(kind: str, seeds: int, sd: float) -> None:
    # of 300 at a true rate of 7 %, 12 % are more than three standard errors away
    assert found(kind, seeds, 100, sd, 300) < 0.12


def test_with_one_seed_chance_differences_between_trainings_look_real() -> None:
    # why an interval over queries alone is called so: its 5 % are those of other queries, not of other seeds
    assert found("two", 1, 100, 0.05, 200) > 0.3


def test_a_real_difference_is_found_where_seeds_do_not_matter() -> None:
    # at this gain a t test over queries, which knows that seeds do not matter, would find about nine of ten
    assert found("two", 3, 300, 0.0, 200, gain=0.037) > 0.7


def test_a_spread_over_seeds_hides_a_difference_of_its_size() -> None:
    assert found("two", 3, 300, 0.05, 200, gain=0.037) < 0.4


def test_the_detectable_difference_is_detected_four_times_out_of_five() -> None:
    probe = [one.detectable for one in comparisons("two", 5, 300, 0.01, 50)]
    assert 0.7 < found("two", 5, 300, 0.01, 200, gain=float(np.median(probe))) < 0.92


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["two", "shared", "fixed"])
@pytest.mark.parametrize("sd", [0.0, 0.005, 0.02, 0.05])
@pytest.mark.parametrize("queries", [100, 300])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_equals_are_taken_for_a_difference_as_rarely_as_documented(
    kind: str, sd: float, queries: int, seeds: int
) -> None:
    # the table in docs/statistics_simulated.md; 2,000 draws at a true rate of 7 % stay below 9 %
    assert found(kind, seeds, queries, sd, 2_000) < 0.09
