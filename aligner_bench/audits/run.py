"""``judge audit RUN``: audit the judges and systems of a run from its rows, without model calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from aligner_bench.audits.screens import OutputScreen, screen_run
from aligner_bench.core.preferences import combine
from aligner_bench.results.number import Number
from aligner_bench.store.tables import group

if TYPE_CHECKING:
    from aligner_bench.runs import Run


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")


class VerdictScreen(_Row):
    """One judge's verdicts on one comparison. Position figures need both orders of a prompt."""

    suite: str
    judge: str
    candidate: str
    baseline: str
    n: int = Field(description="prompts with a verdict")
    n_both: int = Field(description="of these, judged in both orders")
    consistency: Number | None
    first_slot: Number | None
    policies: dict[str, Number] = Field(description="win rate by tie policy; empty without both orders")
    verbosity_slope: Number | None


class RunAudit(_Row):
    """The result of auditing a run's outputs and verdicts."""

    schema_version: int = 1
    run: str
    screens: list[OutputScreen]
    verdicts: list[VerdictScreen]
    broken: list[str]
    passed: bool
    sentence: str


def audit_run(run: Run) -> RunAudit:
    """Screen a run's outputs and verdicts."""
    screens = screen_run(run)
    lengths = {(r["suite"], r["system"], r["prompt_id"]): len(r["text"]) for r in run.rows("responses")}
    families = {(r["suite"], r["prompt_id"]): r["family"] or r["prompt_id"] for r in run.rows("prompts")}
    verdicts = [
        _verdicts(key, rows, lengths, families)
        for key, rows in group(run.rows("verdicts"), "suite", "judge", "candidate", "baseline").items()
    ]
    broken = [f"{screen.system} ({screen.suite}): {flag}" for screen in screens for flag in screen.flags]
    broken += [reason for one in verdicts for reason in _slot_reasons(one)]
    sentence = f"FAIL {run.path.name}: " + "; ".join(broken) + "." if broken else f"PASS {run.path.name}"
    return RunAudit(
        run=run.path.name,
        screens=screens,
        verdicts=verdicts,
        broken=broken,
        passed=not broken,
        sentence=sentence,
    )


def _verdicts(
    key: tuple[Any, ...],
    rows: Sequence[dict[str, Any]],
    lengths: Mapping[tuple[str, str, str], int],
    families: Mapping[tuple[str, str], str],
) -> VerdictScreen:
    from aligner_bench.stats.judge_power import first_slot_share, position_consistency, verbosity_slope

    suite, judge, candidate, baseline = key
    pairs = {prompt: combine(some) for (prompt,), some in group(rows, "prompt_id").items()}
    kept = [prompt for prompt, pair in pairs.items() if pair.value is not None]
    first, second, clusters = _both_orders(rows, suite, families)
    before, after = ([lengths.get((suite, s, p), 0) for p in kept] for s in (baseline, candidate))
    values = [pairs[prompt].value or 0.0 for prompt in kept]
    slope = verbosity_slope(values, before, after, [families.get((suite, p), p) for p in kept])
    slot = first_slot_share(first, second) if first else None
    return VerdictScreen(
        suite=suite,
        judge=judge,
        candidate=candidate,
        baseline=baseline,
        n=len(kept),
        n_both=len(first),
        consistency=Number.of(position_consistency(first, second, clusters)) if first else None,
        first_slot=Number.of(slot) if slot and slot.n else None,
        policies=_policies(first, second, clusters) if first else {},
        verbosity_slope=Number.of(slope) if kept else None,
    )


def _policies(first: Sequence[float], second: Sequence[float], clusters: Sequence[str]) -> dict[str, Number]:
    from aligner_bench.stats.judge_power import tie_policies

    return {name: Number.of(found) for name, found in tie_policies(first, second, clusters).items()}


def _both_orders(
    rows: Sequence[dict[str, Any]], suite: str, families: Mapping[tuple[str, str], str]
) -> tuple[list[float], list[float], list[str]]:
    """Return preferences for the candidate in first and in second place; identical texts are omitted."""
    first, second, clusters = [], [], []
    for (prompt,), some in group(rows, "prompt_id").items():
        orders = {row["order"]: row["preference"] for row in some if row["detail"] != "identical texts"}
        ends = orders.get("candidate_first"), orders.get("baseline_first")
        if ends[0] is not None and ends[1] is not None:
            first.append(float(ends[0]))
            second.append(float(ends[1]))
            clusters.append(families.get((suite, prompt), prompt))
    return first, second, clusters


def _slot_reasons(screen: VerdictScreen) -> list[str]:
    from aligner_bench.stats.judge_power import SLOT_LIMITS

    share = screen.first_slot.value if screen.first_slot else None
    if share is None or SLOT_LIMITS[0] <= share <= SLOT_LIMITS[1]:
        return []
    return [
        f"{screen.judge} ({screen.candidate} against {screen.baseline}, {screen.suite}): first-slot share "
        f"{100 * share:.1f} % is outside {100 * SLOT_LIMITS[0]:.0f} % to {100 * SLOT_LIMITS[1]:.0f} %"
    ]
