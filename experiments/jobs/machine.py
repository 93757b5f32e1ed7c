"""Describe the machine that a job ran on."""

import os
import platform
from typing import Any

import torch


def machine_of(device: torch.device) -> dict[str, Any]:
    """Return the device, the threads, and the machine, such as ``Linux x86_64, 2 cores`` and the name of the GPU."""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    if device.type == "cuda":
        machine += f", {torch.cuda.get_device_name(device)}"
    return {"device": str(device), "machine": machine, "threads": torch.get_num_threads()}
