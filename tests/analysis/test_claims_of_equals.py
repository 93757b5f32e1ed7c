"""How often a claim about equal settings is decided; ``docs/statistics_simulated.md`` has more rates."""

import numpy as np
from helpers.claims import claim, noisy, verdict

from experiments.analysis.claims import CONTRADICTED, SUPPORTED


def test_a_claim_about_equals_is_decided_about_one_time_in_twenty() -> None:
    verdicts = [
        verdict(
            claim(),
            *(noisy(0.0, 10 * i + j, seeds=2, loss=loss) for j, loss in enumerate(("lce", "bce"))),
        )
        for i in range(300)
    ]
    # of 300, one in ten is four standard errors away
    assert np.mean([one.state in (SUPPORTED, CONTRADICTED) for one in verdicts]) < 0.1


def test_a_claim_about_several_pairs_of_equals_is_decided_about_as_rarely() -> None:
    sides = [("lce", 1), ("lce", 7), ("lce", 31), ("bce", 1), ("bce", 7), ("bce", 31)]
    verdicts = [
        verdict(
            claim(),
            *(noisy(0.0, 10 * i + j, seeds=3, loss=loss, negatives=n) for j, (loss, n) in enumerate(sides)),
        )
        for i in range(150)
    ]
    # of 150, 12 % is four standard errors away
    assert np.mean([one.state in (SUPPORTED, CONTRADICTED) for one in verdicts]) < 0.12
