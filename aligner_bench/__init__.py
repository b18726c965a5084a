"""aligner-bench: does this aligner help, where, by how much, at what cost, and how sure are we?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aligner_bench.experiment.experiment import Experiment
    from aligner_bench.runner.run import run
    from aligner_bench.runs import Run

__version__ = "0.1.0"
__all__ = ["Experiment", "Run", "run"]
_HOMES = {
    "Experiment": "aligner_bench.experiment.experiment",
    "Run": "aligner_bench.runs",
    "run": "aligner_bench.runner.run",
}


def __getattr__(name: str) -> Any:
    """The public names, imported on first use so that ``import aligner_bench`` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'aligner_bench' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
