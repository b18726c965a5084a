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
    """A suite in an experiment. Subclasses declare their fields and implement ``label`` and ``load``."""

    registry: ClassVar[Registry] = SUITES

    kind: str = Field(description="the kind of suite")
    limit: int | None = Field(None, ge=1, description="maximum prompts: a seeded, balanced subset")
    max_new_tokens: int | None = Field(None, ge=1, description="maximum new tokens per answer")

    @classmethod
    def short_form(cls, value: object) -> object:
        """Expand a suite's name into a named suite."""
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def short_form_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema of a suite's name."""
        return {"type": "string", "description": "a packaged suite, NAME:SUBSET, or the path of a YAML file"}

    @property
    def label(self) -> str:
        """The suite's name in tables, known before it is loaded."""
        raise TypeError(f"{type(self).__name__} does not implement label")

    def load(self, data_dir: Path | None, anchor: Callable[[Path], Path]) -> Suite:
        """Load the whole suite, named by its label; the caller applies ``limit``.

        ``anchor`` resolves a path relative to the experiment file. UsageError if no source is available.
        """
        raise TypeError(f"{type(self).__name__} does not implement load")
