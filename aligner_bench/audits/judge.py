"""``judge audit``: test a judge by known winners, position, length, canaries and kinship."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from aligner_bench.core.hashing import digest
from aligner_bench.core.types import Services, Verdict
from aligner_bench.judges.base import Judge, JudgeSpec
from aligner_bench.judges.canaries import CANARIES, Canary, KnownPair, known_pairs
from aligner_bench.results.number import Number
from aligner_bench.results.orders import by_order, policies

if TYPE_CHECKING:
    from aligner_bench.experiment.experiment import Experiment

AUDIT_VERSION = 1


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CanaryResult(_Row):
    """One canary and the judge's verdicts on it."""

    name: str
    what: str
    win_rate: Number = Field(description="win rate of the canary, mean of both orders")
    disagreement_is_tie: Number
    consistent_only: Number
    failures: dict[str, int] = Field(description="status of pairs without a verdict -> count")
    threshold: str = Field(description="the condition that the judge must meet")
    ok: bool


class JudgeAudit(_Row):
    """The result of an audit. Rates are fractions; the candidate of a known pair is the better answer."""

    schema_version: int = AUDIT_VERSION
    judge: str
    kind: str
    identity: str
    description: str
    n_pairs: int
    failures: dict[str, int] = Field(description="known pairs without a verdict: status -> count")
    accuracy: Number
    consistency: Number | None = Field(
        description="share of pairs whose orders agree; None for a judge without order"
    )
    first_slot: Number | None
    policies: dict[str, Number] = Field(description="win rate of the better answers by tie policy")
    verbosity_slope: Number = Field(description="change of preference per standard deviation of extra length")
    canaries: list[CanaryResult]
    kinship: list[str] = Field(description="self-preference: what the judge shares with the systems")
    passed: bool
    broken: list[str] = Field(description="description of each violated threshold")
    sentence: str


def audit(experiment: Experiment, name: str, services: Services, most: int | None = None) -> JudgeAudit:
    """Audit one judge of an experiment on at most ``most`` known pairs (all of them by default)."""
    spec = experiment.judges[name]
    report = audit_judge(name, experiment.make_judges()[name], services, most)
    return report.model_copy(update={"kinship": kinship(experiment, spec)})


def audit_judge(name: str, judge: Judge, services: Services, most: int | None = None) -> JudgeAudit:
    """Audit any judge: known pairs first, then each canary, all through ``judge.compare``."""
    from aligner_bench.stats.judge_power import power_failures

    known = known_pairs(judge.needs_references, most)
    verdicts = judge.compare([k.pair(k.better, k.worse) for k in known], services)
    ordered = any(v.order != "none" for one in verdicts for v in one)
    figures = _figures(known, verdicts, ordered)
    canaries = [_canary(canary, known, judge, services) for canary in CANARIES]
    broken = power_failures(figures.pop("accuracy_estimate"), figures.pop("slot_estimate"))
    broken += [
        f"canary {c.name} (win rate {_percent(c.win_rate)}) violated: {c.threshold}"
        for c in canaries
        if not c.ok
    ]
    identity = judge.identity(services)
    return JudgeAudit(
        judge=name,
        kind=str(identity["kind"]),
        identity=digest(identity),
        description=judge.description,
        n_pairs=len(known),
        canaries=canaries,
        kinship=[],
        passed=not broken,
        broken=broken,
        sentence=_sentence(name, broken, len(canaries)),
        **figures,
    )


def _figures(
    known: Sequence[KnownPair], verdicts: Sequence[Sequence[Verdict]], ordered: bool
) -> dict[str, Any]:
    from aligner_bench.stats.judge_power import (
        first_slot_share,
        known_winner_accuracy,
        position_consistency,
        verbosity_slope,
    )

    first, second, kept, failures = by_order(verdicts)
    mean = [(a + b) / 2 for a, b in zip(first, second, strict=True)]
    accuracy = known_winner_accuracy(mean)
    slot = first_slot_share(first, second) if ordered else None
    slot = slot if slot is not None and slot.n else None
    better, worse = ([len(getattr(known[i], side)) for i in kept] for side in ("better", "worse"))
    return {
        "failures": failures,
        "accuracy": Number.of(accuracy),
        "accuracy_estimate": accuracy,
        "consistency": Number.of(position_consistency(first, second)) if ordered and kept else None,
        "first_slot": Number.of(slot) if slot else None,
        "slot_estimate": slot,
        "policies": policies(first, second),
        "verbosity_slope": Number.of(verbosity_slope(mean, worse, better)),
    }


def _canary(canary: Canary, known: Sequence[KnownPair], judge: Judge, services: Services) -> CanaryResult:
    first, second, _, failures = by_order(judge.compare([canary.play(k) for k in known], services))
    rates = policies(first, second)
    lower, upper = (
        math.nan if end is None else end for end in (rates["average"].lower, rates["average"].upper)
    )
    return CanaryResult(
        name=canary.name,
        what=canary.what,
        win_rate=rates["average"],
        disagreement_is_tie=rates["disagreement_is_tie"],
        consistent_only=rates["consistent_only"],
        failures=failures,
        threshold=canary.threshold,
        ok=canary.holds(lower, upper),
    )


def _percent(number: Number) -> str:
    if number.value is None or number.lower is None or number.upper is None:
        return "not computable"
    return f"{100 * number.value:.1f} %, {100 * number.lower:.1f} to {100 * number.upper:.1f}"


def _sentence(name: str, broken: Sequence[str], canaries: int) -> str:
    if not broken:
        return (
            f"PASS {name}: better than chance on known winners, first-slot share (if any) within 10 % to "
            f"90 %, all {canaries} canaries met their thresholds."
        )
    return f"FAIL {name}: " + "; ".join(broken) + "."


def kinship(experiment: Experiment, spec: JudgeSpec) -> list[str]:
    """Return reasons why the judge may prefer some systems: shared model, family or inspectors."""
    asked = [experiment.judges[name] for name in spec.members()] or [spec]
    own = {name for one in asked for name in one.used("model")} & set(experiment.models)
    families = {experiment.models[name].family for name in own} | {getattr(s, "family", None) for s in asked}
    families.discard(None)
    inspectors = {name for one in asked for name in one.inspects()}
    found, undeclared = [], False
    for name, system in experiment.systems.items():
        models, steered = system.used("model"), system.used("inspector")
        theirs = {experiment.models[model].family for model in models if model in experiment.models}
        undeclared = undeclared or None in theirs
        if models & own:
            found.append(f"{name} is made with the judge's own model {', '.join(sorted(models & own))}")
        elif theirs & families:
            shared = ", ".join(sorted(str(family) for family in theirs & families))
            found.append(f"{name} shares the model family {shared} with the judge")
        if steered & inspectors:
            found.append(
                f"{name} is steered by the judge's own inspectors {', '.join(sorted(steered & inspectors))}"
            )
    if own and (not families or undeclared):
        found.append("some models declare no family, so kinship by family could not be checked for them")
    return found
