"""The crossed design gives what a linear mixed model with crossed random effects gives.

statsmodels fits by REML: value = mean of the setting + query + query x setting + training + rest. On balanced data REML
is the analysis of variance if no component is at its bound of 0, so both agree up to the fit's tolerance: 0.1 % of the
standard error of the difference, 1 % of each component.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from helpers.simulated import FloatArray, two_settings
from statsmodels.regression.mixed_linear_model import MixedLM

from experiments.evaluation.comparison import Comparison, compare

# Ranks of the relevant passage (hexadecimal; 0: not among the first ten) of 50 test queries, by six tiny cross-encoders
# that were trained on data=apidocs. Each side is a set of three trainings, which differ in their hyperparameters: the
# agreement of two estimates is tested, not what they say of re-rankers.
MEASURED = (
    (
        "51102141511101514127311112111111111111321121311111",
        "11101111111101112111111132131211141111311111111211",
        "11101111211101117111116132111112131121111111111111",
    ),
    (
        "1110111121110211411211a412111115111111311112112111",
        "11101111211101113113114121111132111111313111114111",
        "21101222221102114113116221111122517112011111214131",
    ),
)


def fitted(sides: tuple[FloatArray, FloatArray]) -> dict[str, float]:
    """Variance components, the difference of the two settings and its standard error."""
    rows = [
        (setting, f"{setting}-{seed}", query, value)
        for setting, values_SQ in enumerate(sides)
        for seed, values_Q in enumerate(values_SQ)
        for query, value in enumerate(values_Q)
    ]
    data = pd.DataFrame(rows, columns=["setting", "training", "query", "value"])
    components = {
        "query": "0 + C(query)",
        "query_setting": "0 + C(query):C(setting)",
        "training": "0 + C(training)",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MixedLM.from_formula("value ~ C(setting)", data, groups=np.ones(len(data)), vc_formula=components)
        found = model.fit(reml=True)
    names = dict(zip(model.exog_vc.names, found.vcomp, strict=True))
    return {**names, "rest": float(found.scale), "mean": -found.fe_params.iloc[1], "se": float(found.bse_fe.iloc[1])}


def agrees(found: Comparison, sides: tuple[FloatArray, FloatArray]) -> None:
    """Compare a comparison with the mixed model of the same values."""
    model = fitted(sides)
    assert found.spread.of_seeds  # not at the bound, where REML moves the other components
    assert found.mean == pytest.approx(model["mean"], abs=1e-6)
    assert found.se == pytest.approx(model["se"], rel=0.001)
    # of a difference of two settings, so twice each component
    spread = (found.spread.of_queries, found.spread.of_seeds, found.spread.of_both)
    assert spread == pytest.approx([2 * model[name] for name in ("query_setting", "training", "rest")], rel=0.01)


@pytest.mark.parametrize("seeds", [3, 5])
def test_simulated_settings_have_the_standard_error_and_the_components_of_a_mixed_model(seeds: int) -> None:
    sides = two_settings(np.random.default_rng(3), "two", seeds, 30, 0.05)
    agrees(compare(*sides, range(seeds), range(seeds), 0), sides)


def test_measured_settings_have_the_standard_error_and_the_components_of_a_mixed_model() -> None:
    better, worse = (np.array([[reciprocal(rank) for rank in ranks] for ranks in side]) for side in MEASURED)
    agrees(compare(better, worse, range(3), range(3), 0), (better, worse))


def reciprocal(rank: str) -> float:
    """RR@10 of a rank in hexadecimal."""
    return 1 / int(rank, 16) if rank != "0" else 0.0
