"""Memory that a tensor leaves is used again for the next one, without fresh pages of the operating system."""

import gc
import platform
import resource
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from experiments.common.allocator import keep_freed_memory

def step():
    return [torch.ones(5_000_000) for _ in range(10)]

assert keep_freed_memory()
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES_OF_A_STEP = 10 * 5_000_000 * 4 // resource.getpagesize()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's settings")
def test_steps_of_200_mb_need_no_new_pages():
    """By default each of them needs all of its pages anew, unless something happens to lie above them in the heap."""
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 0.1 * PAGES_OF_A_STEP


def test_elsewhere_nothing_is_set(monkeypatch: pytest.MonkeyPatch):
    from experiments.common.allocator import keep_freed_memory

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()


def test_cycles_are_looked_for_less_often_than_by_default():
    from experiments.common.allocator import look_for_cycles_rarely

    before = gc.get_threshold()
    try:
        gc.set_threshold(700, 10, 10)
        look_for_cycles_rarely()
        assert all(now > then for now, then in zip(gc.get_threshold(), (700, 10, 10), strict=True))
    finally:
        gc.set_threshold(*before)
