"""Tests of one sweep run in one process, so that its grid is composed once (``make test`` runs two processes)."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        sweep = getattr(item, "callspec", None) and item.callspec.params.get("sweep")
        if sweep is not None and "sweeps" in item.path.parts:
            item.add_marker(pytest.mark.xdist_group(sweep))
