"""Decide the gate: each gated number against its margin, in three outcomes (contract 11).

With L and U the one-sided 95 % bounds of (new - baseline), turned so that more is better, and m the margin:
pass if L >= -m, fail if U < -m, otherwise inconclusive, with the prompts that would decide. Rules of one
family, and the categories of one rule, fail only where the failure remains after Holm's correction: of many
tests some would fail by chance. Passing needs no correction, since every check has to pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from aligner_bench.core.errors import UsageError
from aligner_bench.gate.baseline import Baseline, make_baseline
from aligner_bench.gate.checks import Check, Outcome, checks_of, values_of
from aligner_bench.gate.messages import crowded_categories, sentence
from aligner_bench.gate.policy import Policy, Rule
from aligner_bench.results.measures.comparisons import LC
from aligner_bench.results.measures.systems import TAX
from aligner_bench.results.number import Published
from aligner_bench.results.series import Key
from aligner_bench.runs import Run
from aligner_bench.tax.shape import TaxReport

ALPHA = 0.05
EXIT: Mapping[str, int] = {"pass": 0, "fail": 1, "inconclusive": 3}


class GateReport(Published):
    """All findings of the gate."""

    schema_version: int = 1
    run: str
    baseline: str
    outcome: Outcome
    checks: list[Check]
    left_out: list[str] = Field(description="what is not gated, and why")
    notes: list[str]

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 inconclusive."""
        return EXIT[self.outcome]


def decide(
    run: Run,
    baseline: Baseline,
    policy: Policy,
    margin: float | None = None,
    tax: TaxReport | None = None,
) -> GateReport:
    """Gate a run against a stored baseline.

    ``margin`` in points replaces the policy's default, and ``tax`` replaces the tax report in the run's
    folder. UsageError where the two cannot be compared: other prompts or tasks, another judge, another scale,
    a number missing from the run, or nothing left to gate.
    """
    new = make_baseline(run, tax=tax)
    if new.scale != baseline.scale:
        raise UsageError(
            f"{run.path}: a run at {new.scale} scale cannot be gated by a {baseline.scale} baseline"
        )
    default = margin if margin is not None else policy.margin
    jobs, left_out = _jobs(run.path, new, baseline, policy)
    checks = [check for key, rule in jobs for check in checks_of(key, rule, default, new, baseline)]
    if not checks:
        why = "; ".join(left_out) or "no rule covers a number of the baseline"
        raise UsageError(f"{run.path}: nothing is left to gate: {why}")
    _correct(checks)
    for check in checks:
        check.sentence = sentence(check)
    return GateReport(
        run=new.experiment,
        baseline=baseline.experiment,
        outcome=_overall(checks),
        checks=checks,
        left_out=[*left_out, *_only_new(new, baseline)],
        notes=crowded_categories(checks, _spreads(checks, new, baseline)),
    )


def _keys(side: Baseline) -> list[Key]:
    return [*(series.key for series in side.series), *(estimate.key for estimate in side.estimates)]


def _about(side: Baseline) -> dict[Key, None]:
    """The systems and comparisons of a side, as keys without a metric."""
    return dict.fromkeys(key._replace(metric="") for key in _keys(side))


def _only_new(new: Baseline, old: Baseline) -> list[str]:
    held = _about(old)
    return [f"{key}: is not in the baseline" for key in _about(new) if key not in held]


def _jobs(
    path: Path, new: Baseline, old: Baseline, policy: Policy
) -> tuple[list[tuple[Key, Rule]], list[str]]:
    """The numbers with their rules, and what is not gated and why. UsageError as in ``decide``."""
    chosen = {
        (key, rule.by_category): rule for key in _keys(old) for rule in policy.rules if rule.covers(key)
    }
    jobs, left_out = [], {}
    for (key, _), rule in chosen.items():
        _check_comparable(path, key, new, old)
        if not _has_power(key, new, old):
            if key.judge in rule.judges:
                raise UsageError(
                    f"{path}: the policy gates by judge {key.judge!r}, which has no discriminating power"
                )
            left_out[key.judge] = (
                f"judge {key.judge!r} has no discriminating power, or was not tried where the winner is known"
            )
        elif key.metric == LC.name and key not in _keys(new):
            left_out[str(key)] = f"{key}: the run has no length-controlled rate"
        else:
            jobs.append((key, rule))
    return jobs, list(left_out.values())


def _check_comparable(path: Path, key: Key, new: Baseline, old: Baseline) -> None:
    """UsageError for other prompts, another judge, and numbers missing from the run."""
    if key.metric == TAX.name:
        _check_task(path, key, new, old)
    if key.suite not in new.suites:
        raise UsageError(
            f"{path}: has no suite {key.suite!r}, which the baseline has; a policy can leave it out"
        )
    hashes = [side.suites[key.suite].content_hash for side in (new, old)]
    if hashes[0] != hashes[1]:
        raise UsageError(
            f"{path}: suite {key.suite!r} has different prompts in the baseline "
            f"(content hash {hashes[0][:12]}, not {hashes[1][:12]})"
        )
    if key.judge in new.judges and new.judges[key.judge].identity != old.judges[key.judge].identity:
        raise UsageError(
            f"{path}: judge {key.judge!r} is a different judge in the baseline (identity "
            f"{new.judges[key.judge].identity[:12]}, not {old.judges[key.judge].identity[:12]})"
        )
    if key._replace(metric="") not in _about(new):
        raise UsageError(f"{path}: lacks the {key}, which the baseline has; a policy can exclude it")


def _check_task(path: Path, key: Key, new: Baseline, old: Baseline) -> None:
    """UsageError for a task that was not asked, or in another version or with other questions."""
    if key.suite not in new.suites:
        raise UsageError(
            f"{path}: has no tax on {key.suite!r}, which the baseline has; `aligner-bench tax` finds it "
            "(-o RUN/tax.json, or gate --tax FILE), and a policy can leave it out"
        )
    now, was = (side.suites[key.suite].content_hash for side in (new, old))
    if now != was:
        raise UsageError(
            f"{path}: the task of {key.suite!r} is not the one of the baseline ({now}; expected {was})"
        )


def _has_power(key: Key, new: Baseline, old: Baseline) -> bool:
    return not key.judge or (new.judges[key.judge].has_power and old.judges[key.judge].has_power)


def _correct(checks: Sequence[Check]) -> None:
    """Correct by Holm within each family: a failure that does not remain is inconclusive."""
    from aligner_bench.stats.hypothesis_tests import holm

    for family in {check.family for check in checks if check.family}:
        members = [check for check in checks if check.family == family]
        adjusted = holm([1.0 if check.p_fail is None else check.p_fail for check in members])
        for check, p in zip(members, adjusted, strict=True):
            check.p_adjusted = float(p)
            if check.outcome == "fail" and p >= ALPHA:
                check.outcome = "inconclusive"


def _overall(checks: Sequence[Check]) -> Outcome:
    found = {check.outcome for check in checks if not check.advisory}
    return "fail" if "fail" in found else "inconclusive" if "inconclusive" in found else "pass"


def _spreads(checks: Sequence[Check], new: Baseline, old: Baseline) -> dict[Key, float]:
    """Standard deviation of the paired differences of every number that is gated by category."""
    import numpy as np

    found = {}
    for check in checks:
        key = Key.of(check)
        if check.category is not None and key not in found:
            after, before = values_of(new, key), values_of(old, key)
            d = [after[p] - before[p] for p in after if p in before]
            found[key] = float(np.std(d, ddof=1)) if len(d) > 1 else 0.0
    return found
