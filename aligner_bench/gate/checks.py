"""Check one gated number: its paired difference and bounds against the margin."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field

from aligner_bench.gate.baseline import Baseline, BaselineEstimate
from aligner_bench.gate.policy import Rule
from aligner_bench.results.measures import MEASURES
from aligner_bench.results.measures.comparisons import LC
from aligner_bench.results.number import Number, Published
from aligner_bench.results.series import Key, Question

Outcome = Literal["pass", "fail", "inconclusive"]


class Check(Published):
    """One gated number. Differences and margin are fractions; losses are below 0 for every metric."""

    metric: str
    suite: str
    judge: str
    system: str
    baseline: str
    category: str | None
    margin: float
    n: int = Field(description="prompts with a value in both")
    n_unpaired: int = Field(description="prompts with a value in one only; they are not in the difference")
    paired: bool
    before: float | None
    after: float | None
    gain: Number = Field(description="new - baseline, signed so that more is better; one-sided 95 % bounds")
    outcome: Outcome
    n_to_decide: int | None
    p_fail: float | None = Field(description="one-sided p value of a loss beyond the margin")
    p_adjusted: float | None = Field(description="the same after Holm within the family")
    family: str | None
    advisory: bool
    sentence: str


def checks_of(key: Key, rule: Rule, default: float, new: Baseline, old: Baseline) -> Iterator[Check]:
    """Check a number, or each of its categories; ``default`` is a margin in points."""
    margin = (rule.margin if rule.margin is not None else default) / 100
    if key.metric == LC.name:
        if not rule.by_category:
            yield _unpaired(key, rule, margin, _estimate(new, key), _estimate(old, key))
        return
    sides = values_of(old, key), values_of(new, key)
    asked = _questions(old, key.suite)
    if not rule.by_category:
        yield _paired(key, rule, margin, sides, asked, None)
        return
    for category in sorted({asked[p].category for side in sides for p in side}):
        if not rule.categories or category in rule.categories:
            yield _paired(key, rule, margin, sides, asked, category)


def values_of(side: Baseline, key: Key) -> dict[str, float]:
    """Read prompt_id -> value; empty where no prompt has one, as damage without right answers."""
    values = next((s.values for s in side.series if s.key == key), [])
    return {p: v for p, v in zip(side.suites[key.suite].prompt_ids, values, strict=False) if v is not None}


def _estimate(side: Baseline, key: Key) -> BaselineEstimate:
    return next(e for e in side.estimates if e.key == key)


def _questions(side: Baseline, suite: str) -> dict[str, Question]:
    found = side.suites[suite]
    rows = zip(found.prompt_ids, found.families, found.categories, strict=True)
    return {prompt_id: Question(family, category) for prompt_id, family, category in rows}


def _paired(
    key: Key,
    rule: Rule,
    margin: float,
    sides: tuple[Mapping[str, float], Mapping[str, float]],
    asked: Mapping[str, Question],
    category: str | None,
) -> Check:
    """The paired, cluster-robust difference over the prompts that have a value in both."""
    from aligner_bench.stats.hypothesis_tests import drop_p, paired_difference
    from aligner_bench.stats.power import noninferiority

    before, after = ({p: v for p, v in s.items() if category in (None, asked[p].category)} for s in sides)
    ids = [p for p in asked if p in before and p in after]
    sign = MEASURES[key.metric].better
    families = [asked[p].family for p in ids]
    clusters = families if len(set(families)) < len(families) else None
    new, old = ([sign * side[p] for p in ids] for side in (after, before))
    gain = paired_difference(new, old, clusters, level=0.90)
    decision = noninferiority(gain, margin)
    losses = [n - o for n, o in zip(new, old, strict=True)]
    return Check(
        **key._asdict(),
        category=category,
        margin=margin,
        n=len(ids),
        n_unpaired=len(set(before) ^ set(after)),
        paired=True,
        before=sum(before[p] for p in ids) / len(ids) if ids else None,
        after=sum(after[p] for p in ids) / len(ids) if ids else None,
        gain=Number.of(gain),
        outcome=decision.outcome,
        n_to_decide=decision.n_to_decide,
        p_fail=drop_p(losses, margin, clusters) if ids else None,
        p_adjusted=None,
        family=rule.family or (f"categories: {key}" if category else None),
        advisory=rule.advisory,
        sentence="",
    )


def _unpaired(key: Key, rule: Rule, margin: float, new: BaselineEstimate, old: BaselineEstimate) -> Check:
    """The difference of a fitted number, which has no values per prompt: two intervals, as if independent."""
    from aligner_bench.stats.estimate import Estimate
    from aligner_bench.stats.hypothesis_tests import independent_difference
    from aligner_bench.stats.power import noninferiority

    def estimate(number: Number) -> Estimate:
        value, lower, upper = (
            math.nan if x is None else x for x in (number.value, number.lower, number.upper)
        )
        return Estimate(value, lower, upper, number.n, number.method)

    gain = independent_difference(estimate(new.number), estimate(old.number))
    decision = noninferiority(gain, margin)
    bounds = Number.of(gain).model_copy(update={"lower": decision.lower, "upper": decision.upper})
    return Check(
        **key._asdict(),
        category=None,
        margin=margin,
        n=gain.n,
        n_unpaired=0,
        paired=False,
        before=old.number.value,
        after=new.number.value,
        gain=bounds,
        outcome=decision.outcome,
        n_to_decide=decision.n_to_decide,
        p_fail=None,
        p_adjusted=None,
        family=None,
        advisory=rule.advisory,
        sentence="",
    )
