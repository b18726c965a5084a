"""Describe the machine's hardware for manifests, without host name or paths."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path


def hardware() -> dict[str, str | int | None]:
    """Return processor, cores, memory and GPU; the GPU is None unless torch is already imported."""
    torch = sys.modules.get("torch")
    has_gpu = torch is not None and torch.cuda.is_available()
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpu": str(torch.cuda.get_device_name(0)) if torch is not None and has_gpu else None,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (ValueError, OSError, AttributeError):
        return None
