"""Claims that re-ranking improves on a first stage."""

import pytest
from helpers.claims import cell, claim, re_ranking, verdict

from experiments.analysis.claims import CONTRADICTED, MISSING, SUPPORTED, UNDECIDED


class TestImproves:
    """Settings against the first stage that each re-ranks."""

    def test_is_supported_by_settings_above_their_first_stage(self):
        samples = [re_ranking(cell(0.1, negatives=1), 0.0), re_ranking(cell(0.2, negatives=7), 0.0)]
        found = verdict(claim("improves"), *samples)
        assert found.state == SUPPORTED
        assert found.estimate is not None
        assert found.estimate.mean == pytest.approx(0.15)
        assert [(dict(pair.labels), round(pair.comparison.mean, 6)) for pair in found.pairs] == [
            ({"negatives": 1}, 0.1), ({"negatives": 7}, 0.2),
        ]  # fmt: skip

    def test_each_is_compared_with_its_own(self):
        samples = [re_ranking(cell(0.1, source="a"), 0.0), re_ranking(cell(0.1, source="b"), 0.3)]
        found = verdict(claim("improves"), *samples)
        assert [pair.comparison.mean for pair in found.pairs] == pytest.approx([0.1, -0.2])
        assert found.state == CONTRADICTED

    def test_speaks_of_the_named_cells_only(self):
        samples = [re_ranking(cell(0.1), 0.0), re_ranking(cell(-0.1, loss="bce"), 0.0)]
        assert verdict(claim("improves", better={"loss": "lce"}), *samples).state == SUPPORTED

    def test_is_missing_without_such_cells(self):
        found = verdict(claim("improves", better={"loss": "bce"}), re_ranking(cell(0.1), 0.0))
        assert (found.state, found.needs) == (MISSING, "No finished cell has loss bce.")

    def test_one_seed_decides_nothing(self):
        assert verdict(claim("improves"), re_ranking(cell(0.3, seeds=1), 0.0)).state == UNDECIDED
