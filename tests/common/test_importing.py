"""No garbage is collected while a large library is imported."""

import gc
import sys

import pytest

from experiments.common.importing import importing


@pytest.fixture(autouse=True)
def _as_before():
    yield
    gc.enable()
    gc.unfreeze()


def test_nothing_is_collected_meanwhile_and_what_was_made_is_left_out_of_later_collections():
    frozen = gc.get_freeze_count()
    with importing("a library that is not there"):
        assert not gc.isenabled()
        made = [[number] for number in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(made)


def test_a_library_that_was_imported_before_changes_nothing():
    assert "sys" in sys.modules
    frozen = gc.get_freeze_count()
    with importing("sys"):
        assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


def test_a_process_that_collects_nothing_stays_so():
    gc.disable()
    with importing("a library that is not there"):
        pass
    assert not gc.isenabled()


def test_an_import_that_fails_leaves_collections_on():
    with pytest.raises(ImportError), importing("a library that is not there"):
        raise ImportError("broken")
    assert gc.isenabled()
