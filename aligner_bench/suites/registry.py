"""Find the suites of an experiment by kind."""

from __future__ import annotations

from aligner_bench.core.registry import Registry

SUITES = Registry(
    "suite kind",
    "aligner_bench.suites",
    {"named": "aligner_bench.suites.named:NamedSuite"},
    default="named",
)
