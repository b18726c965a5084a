"""Locate the cache of computed results, converted models and trained inspectors."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Return the folder ``ALIGNER_BENCH_CACHE``, else ``aligner-bench`` in the user's cache folder."""
    named = os.environ.get("ALIGNER_BENCH_CACHE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "aligner-bench"
