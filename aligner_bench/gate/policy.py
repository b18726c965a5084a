"""The policy: which numbers are gated, with what margins, and which are tested together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.spec import Spec
from aligner_bench.core.yamlfile import YamlDocument, read_yaml, validated
from aligner_bench.gate.tax import METRIC as TAX
from aligner_bench.results.series import METRICS, Key

GATED = (*METRICS, TAX, "lc")
UNASKED = ("refusals",)
"""Gated only where a rule names them: fewer are better on harmless prompts, and worse on harmful ones."""
DEFAULT_MARGIN = 3.0
_WHAT = "a gate's policy"


def _known_metric(value: object) -> object:
    if isinstance(value, str) and value not in GATED:
        raise ValueError(f"unknown metric; {nearest(value, GATED)}")
    return value


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Metric = Annotated[str, BeforeValidator(_known_metric), Field(json_schema_extra={"enum": list(GATED)})]
Names = Annotated[tuple[str, ...], BeforeValidator(_as_list, json_schema_input_type=tuple[str, ...] | str)]
Metrics = Annotated[
    tuple[Metric, ...],
    BeforeValidator(
        _as_list, json_schema_input_type=Annotated[tuple[Metric, ...], Field(min_length=1)] | Metric
    ),
]


class Rule(Spec):
    """What some numbers must hold; a field left out means all.

    Of several rules that cover a number of a whole suite the last one counts; so it does among rules that
    cover the number by category.
    """

    metrics: Metrics = Field(min_length=1, description="the numbers that it covers")
    margin: float | None = Field(None, gt=0, le=100, description="largest accepted loss, in points")
    suites: Names = Field((), description="only these suites")
    judges: Names = Field((), description="only by these judges")
    systems: Names = Field((), description="only these systems")
    baselines: Names = Field((), description="only against these baselines")
    by_category: bool = Field(False, description="one test a category instead of one for the suite")
    categories: Names = Field((), description="with by_category: only these")
    family: str | None = Field(None, description="failures of rules with one family are Holm-corrected")
    advisory: bool = Field(False, description="shown, but does not decide the exit code")

    def covers(self, key: Key) -> bool:
        """Does the rule speak of this number?"""
        wanted = (
            (self.metrics, key.metric),
            (self.suites, key.suite),
            (self.judges, key.judge),
            (self.systems, key.system),
            (self.baselines, key.baseline),
        )
        return all(not names or name in names for names, name in wanted)


class Policy(Spec):
    """A policy file. Without rules, everything but refusals is gated at ``margin``."""

    margin: float = Field(DEFAULT_MARGIN, gt=0, le=100, description="points, where a rule names none")
    rules: tuple[Rule, ...] = Field(
        (Rule(metrics=tuple(m for m in GATED if m not in UNASKED)),),
        description="which numbers are gated; the last rule that covers a number counts",
    )


def read_policy(path: Path) -> tuple[Policy, YamlDocument]:
    """A policy file; UsageError in one line with file, line and field."""
    document = read_yaml(path, _WHAT)
    return validated(Policy, document), document


def check_names(policy: Policy, document: YamlDocument, keys: Iterable[Key]) -> None:
    """Every suite, judge and system that a rule names must be in the baseline; UsageError with the line."""
    keys = list(keys)
    known: Mapping[str, set[str]] = {
        "suites": {key.suite for key in keys},
        "judges": {key.judge for key in keys if key.judge},
        "systems": {key.system for key in keys},
        "baselines": {key.baseline for key in keys if key.baseline},
    }
    for i, rule in enumerate(policy.rules):
        for field, names in known.items():
            for name in getattr(rule, field):
                if name not in names:
                    line = document.line_of(("rules", i, field))
                    raise UsageError(
                        f"{document.path}:{line}: rules.{i}.{field}: the baseline has no {name!r}; "
                        f"{nearest(name, names)}"
                    )
