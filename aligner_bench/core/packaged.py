"""Locate the files that ship with the package, in a wheel and in a source tree."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def packaged_dir(name: str) -> Path:
    """Return the folder `name` (`suites`, `experiments`) of the installed package, else of the repository."""
    in_wheel = _PACKAGE / "_packaged" / name
    return in_wheel if in_wheel.is_dir() else _PACKAGE.parent / name
