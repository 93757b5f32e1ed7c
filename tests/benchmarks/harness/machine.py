"""Describe the machine of a measurement."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

BF16_PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "A10": 125e12}


def machine() -> dict[str, Any]:
    """Return the processor, its cores, the memory, the operating system and the GPU, where there is one."""
    gpu = gpu_name()
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        **({"gpu": gpu} if gpu else {}),
        **({"bf16_peak": peak} if gpu and (peak := bf16_peak(gpu)) else {}),
    }


def bf16_peak(gpu: str) -> float | None:
    """Return the dense bf16 operations a second of a card by its data sheet; None for one that is not listed."""
    return next((peak for name, peak in BF16_PEAKS.items() if name in gpu), None)


def cpu_name() -> str:
    """Return the name of the processor, and the widest vector instructions it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = fields.get("flags", "").split()
    widest = next((name for name in ("avx512_vnni", "avx512f", "avx2") if name in flags), None)
    return f"{fields.get('model name', platform.machine())}{f' ({widest})' if widest else ''}"


def gpu_name() -> str | None:
    """Return the name of the first GPU; None without one."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip().splitlines()[0] if found.returncode == 0 and found.stdout.strip() else None
