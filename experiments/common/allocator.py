"""Keep memory that was freed, so that the next step's tensors need no fresh pages from the operating system; and look
less often for memory that could be freed.

By default glibc hands large blocks back at once. Every activation then costs a page fault for each 4 KB: a fifth of the
time of scoring with a small encoder on a CPU.
"""

import ctypes
import gc
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_KEPT_BYTES = 1 << 30  # free memory at the end of the heap that is kept
# New objects until Python looks among them for cycles, and how often it does until it looks among older ones.
_LOOKS = (50_000, 20, 20)
_LARGEST_BYTES = 32 << 20  # blocks above, such as whole matrices of a collection, are handed back; glibc takes no more


def keep_freed_memory() -> bool:
    """Let the process keep up to 1 GB of freed blocks of up to 32 MB; returns whether the C library can (glibc)."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES) and mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))


def look_for_cycles_rarely() -> None:
    """Let Python look for objects that only refer to each other less often: a tenth of the time of composing a grid,
    whose configs all live on. It costs some megabytes.
    """
    gc.set_threshold(*_LOOKS)
