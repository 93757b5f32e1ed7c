"""A browser that is there already, driven by playwright, which downloads none."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# No sandbox, since tests run as root in containers; nothing that asks the network by itself.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable() -> str:
    """The first browser on the path; skips the test where there is none."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    return str(pytest.skip(f"no browser on the path: one of {', '.join(BROWSERS)} is needed"))


@contextmanager
def browser() -> Iterator[Any]:
    """A headless browser of playwright's; skips the test where playwright or a browser is missing."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra: dev)")
    path = executable()
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield opened
        finally:
            opened.close()
