"""Which settings a description by labels means."""

import pytest
from helpers.settings import setting_of

from experiments.analysis.label_matching import matches, matching, number_of
from experiments.common.errors import ExperimentError


class TestMatching:
    def test_finds_the_settings_with_all_values(self):
        samples = [
            setting_of({"loss": "lce", "negatives": 7}),
            setting_of({"loss": "lce", "negatives": 3}),
            setting_of({"loss": "bce", "negatives": 7}),
        ]
        assert matching(samples, {"loss": "lce", "negatives": 7}, {}) == samples[:1]

    def test_everything_matches_nothing_in_particular(self):
        samples = [setting_of({"loss": "lce"}), setting_of({"loss": "bce"})]
        assert matching(samples, {}, {}) == samples

    @pytest.mark.parametrize("wanted", [7, 7.0, "7"])
    def test_numbers_are_equal_as_numbers(self, wanted: object):
        assert matches({"negatives": 7}, {"negatives": wanted}, {})

    def test_a_number_is_not_equal_to_another(self):
        assert not matches({"negatives": 7}, {"negatives": 31}, {})

    def test_a_list_names_several_values(self):
        assert matches({"negatives": 7}, {"negatives": [1, 7]}, {})
        assert not matches({"negatives": 3}, {"negatives": [1, 7]}, {})

    def test_a_stand_in_counts_as_what_it_stands_for_and_as_itself(self):
        stand_ins = {"colbert": "tct_colbert"}
        assert matches({"source": "colbert"}, {"source": "tct_colbert"}, stand_ins)
        assert matches({"source": "colbert"}, {"source": "colbert"}, stand_ins)
        assert not matches({"source": "tct_colbert"}, {"source": "colbert"}, stand_ins)

    def test_a_stand_in_counts_within_a_mixture(self):
        assert matches({"source": "bm25+colbert"}, {"source": "bm25+tct_colbert"}, {"colbert": "tct_colbert"})

    def test_null_means_that_there_is_no_such_label(self):
        assert matches({"loss": "lce"}, {"gold": None}, {})
        assert not matches({"gold": "injected"}, {"gold": None}, {})
        assert len(matching([setting_of({"loss": "lce"})], {"gold": None}, {})) == 1

    def test_a_label_that_no_setting_has_is_an_error_that_names_the_labels(self):
        complaint = r"no finished cell has the label 'sauce': the labels are loss, source"
        with pytest.raises(ExperimentError, match=complaint):
            matching([setting_of({"loss": "lce", "source": "bm25"})], {"sauce": "bm25"}, {})

    def test_of_no_settings_none_match(self):
        assert matching([], {"loss": "lce"}, {}) == []


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7.0),
        ("2,000 groups", 2000.0),
        ("1e-4", 1e-4),
        ("0.5", 0.5),
        ("all", None),
        ("10k", None),
        (True, None),
        (None, None),
    ],
)
def test_a_label_begins_with_its_number(value: object, number: float | None):
    assert number_of(value) == number
