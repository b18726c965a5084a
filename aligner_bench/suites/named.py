"""A suite by its packaged name, or by the path of its YAML file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from aligner_bench.suites.load import load_suite
from aligner_bench.suites.types import Suite
from aligner_bench.suites.use import SuiteUse


class NamedSuite(SuiteUse):
    """A packaged suite, or a YAML file beside the experiment."""

    kind: str = Field("named", exclude=True, description="the kind of suite")
    name: str = Field(description="a packaged suite, NAME:SUBSET, or the path of a YAML file")
    subset: str | None = Field(None, description="a part that the suite's definition names")

    @property
    def label(self) -> str:
        """The name; a subset is ``NAME:SUBSET``."""
        return f"{self.name}:{self.subset}" if self.subset else self.name

    def load(self, data_dir: Path | None, anchor: Callable[[Path], Path]) -> Suite:
        """The suite from the first of its sources that can be had."""
        is_file = self.name.endswith((".yaml", ".yml"))
        name = str(anchor(Path(self.name))) if is_file else self.name
        suite = load_suite(name, data_dir=data_dir, subset=self.subset)
        return replace(suite, name=f"{suite.name}:{suite.subset}") if suite.subset else suite
