"""Many simulated studies tested at once come out as the project tests each."""

import numpy as np
import pytest
from helpers.many_studies import judged, moments
from helpers.simulated import CLAIMS, KINDS, SETTINGS, results_of, six_settings, two_settings

from experiments.analysis.claims import CONTRADICTED, SUPPORTED, judge
from experiments.evaluation.comparison import compare
from experiments.evaluation.significance import holm
from experiments.evaluation.variance import Term, pooled_variance


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_two_settings_have_the_p_values_of_a_comparison(kind: str, seeds: int) -> None:
    generator = np.random.default_rng(0)
    drawn = [two_settings(generator, kind, seeds, 40, 0.02) for _ in range(20)]
    worse_seeds = None if kind == "fixed" else range(seeds)
    one_by_one = [compare(better, worse, range(seeds), worse_seeds, 0).p for better, worse in drawn]
    _, p = moments(drawn).p_values([1.0, -1.0], pooled=False)
    assert p == pytest.approx(one_by_one)


@pytest.mark.parametrize(("effect", "size"), [("all", 0.05), ("one", 0.05), ("rankings", 1.0)])
@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_a_study_has_the_verdicts_marks_and_corrected_p_values_of_its_report(
    effect: str, size: float, seeds: int
) -> None:
    generator = np.random.default_rng([1, seeds])
    drawn = [six_settings(generator, effect, seeds, 60, size, gain) for gain in (0.0, 0.0, 0.2, -0.3) for _ in range(5)]
    many = judged(moments([[*values_CSQ, first_stage_Q[None]] for values_CSQ, first_stage_Q in drawn]))
    for number, (values_CSQ, first_stage_Q) in enumerate(drawn):
        settings = results_of(values_CSQ)
        states = [verdict.state for verdict in judge(CLAIMS, settings, [], {})]
        assert [state == SUPPORTED for state in states] == many.supported_NA[number].tolist()
        assert [state == CONTRADICTED for state in states] == many.contradicted_NA[number].tolist()
        pool = pooled_variance([[Term(1.0, one.values_SQ, one.models)] for one in settings])
        rows = [compare(one.values_SQ, first_stage_Q[None], one.seeds, None, 0, pool) for one in settings]
        assert any(row.excludes_zero for row in rows) == many.marked_N[number]
        assert (holm([row.p for row in rows]).min() <= 0.05) == many.holm_N[number]
    assert len(drawn[0][0]) == SETTINGS
    assert seeds == 1 or effect == "rankings" or many.supported_NA.any()
