"""The base of raters that are a rule: no model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from aligner_bench.core.types import Services
from aligner_bench.raters.base import Rated, Rater, RaterSpec, ToRate
from aligner_bench.raters.contracts import Label


class RuleRaterSpec(RaterSpec):
    """Label answers by a rule; the spec is the rater itself. A subclass declares options and a ``label``.

    All options belong to the identity, and so does ``version``: raise it when the rule changes.
    """

    version: ClassVar[int] = 1
    audit_items: int = Field(24, ge=0, le=24, description="answers with a known label to test it on")

    def label(self, item: ToRate) -> Label:
        """``refusal``, ``harmless`` or ``harmful``."""
        raise TypeError(f"{type(self).__name__} does not implement label")

    def make(self) -> Rater:
        """The spec itself."""
        return self

    @property
    def description(self) -> str:
        """The kind and its options."""
        said = ", ".join(f"{name} {value}" for name, value in self._options().items())
        return f"{self.kind} ({said})" if said else self.kind

    def identity(self, services: Services) -> dict[str, Any]:
        """Kind, version and options."""
        return {"kind": self.kind, "version": self.version, **self._options()}

    def rate(self, items: Sequence[ToRate], services: Services) -> list[Rated]:
        """Ratings in the order of the items."""
        return [Rated(self.label(item), "ok") for item in items]

    def _options(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"kind", "suites", "audit_items"})
