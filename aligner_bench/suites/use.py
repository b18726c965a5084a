"""The contract of a suite in an experiment: its spec, which loads prompts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from aligner_bench.core.registry import Kind, Registry
from aligner_bench.suites.registry import SUITES
from aligner_bench.suites.types import Suite


class SuiteUse(Kind):
    """A suite in an experiment. A subclass declares its fields and implements ``label`` and ``load``."""

    registry: ClassVar[Registry] = SUITES

    kind: str = Field(description="the kind of suite")
    limit: int | None = Field(None, ge=1, description="most prompts: a seeded part, balanced over categories")
    max_new_tokens: int | None = Field(None, ge=1, description="for every system on this suite alike")

    @classmethod
    def short_form(cls, value: object) -> object:
        """A suite's name alone stands for a named suite."""
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def short_form_schema(cls) -> dict[str, Any]:
        """A suite's name, as a string."""
        return {"type": "string", "description": "a packaged suite, NAME:SUBSET, or the path of a YAML file"}

    @property
    def label(self) -> str:
        """The suite's name in tables, known before it is loaded."""
        raise TypeError(f"{type(self).__name__} does not implement label")

    def load(self, data_dir: Path | None, anchor: Callable[[Path], Path]) -> Suite:
        """The suite in full, called by its label; ``limit`` is applied later.

        ``anchor`` makes a path relative to the experiment file. UsageError where no source can be had.
        """
        raise TypeError(f"{type(self).__name__} does not implement load")
