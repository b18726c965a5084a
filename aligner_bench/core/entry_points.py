"""Read the entry points of installed packages, the way in which plug-ins announce their kinds."""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any


def points_of(group: str) -> list[EntryPoint]:
    """The entry points of a group, in the order of the import path; nothing is imported."""
    return list(_all(tuple(sys.path)).select(group=group))


@lru_cache(maxsize=1)
def _all(path: tuple[str, ...]) -> Any:
    """Reading them takes about 30 ms, so it is done once for an import path."""
    return entry_points()


def distribution(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that brings an entry point."""
    return (point.dist.name, point.dist.version) if point.dist is not None else ("unknown", "unknown")
