"""The short form of ``make fuzz``: some damaged inputs of each subject, always the same."""

import pytest
from stress import fuzz
from stress.fuzzing.verdicts import FAILED

INPUTS = {"readers": 250, "studies": 25, "overrides": 60, "tables": 30}


@pytest.fixture(autouse=True)
def _quiet():
    import logging

    fuzz.prepare()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(("subject", "number"), INPUTS.items())
def test_every_damaged_input_is_read_right_or_refused_in_one_line(subject: str, number: int):
    counts, failures = fuzz.fuzz(subject, 20261127, range(number))
    assert not failures, "\n".join(failures)
    assert counts.total() == number
    assert counts[FAILED] == 0
