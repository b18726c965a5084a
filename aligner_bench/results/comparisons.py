"""Compute one row per comparison, judge and suite: counts, rates, intervals, conclusion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import Field

from aligner_bench.core.preferences import Preference, combine
from aligner_bench.results.facts import Facts
from aligner_bench.results.judges import JudgePower
from aligner_bench.results.length import LengthControl, control_length
from aligner_bench.results.number import Number, Published, points
from aligner_bench.store.tables import Row, Tables, group

_ALPACA_EVAL = "alpaca-eval"
RATES = ("weighted", "discrete", "strict", "strict_all", "omega")


def comparison_sentence(row: Comparison, kind: str) -> str:
    """One comparison in words; net wins are wins minus losses, in percent of the prompts (omega)."""
    who = f"{row.system} against {row.baseline} ({row.suite}, {row.judge})"
    basis = f"n = {row.n}, {row.n_draws} ties"
    if row.n == 0:
        return f"{who}: no pair has a verdict ({row.n_failed} failed)."
    if row.conclusion == "same":
        return f"{who}: all {row.n} answers are the same, all ties, as they must be."
    net = f"net wins {points(row.rates['omega'])}, {basis}"
    if row.conclusion == "no_power":
        return f"{who}: nothing can be said, for the judge has no discriminating power ({net})."
    if row.conclusion == "not_audited":
        return f"{who}: {net}, by imported verdicts of a judge that was not tried here."
    if row.conclusion in ("better", "worse"):
        verb = "beats" if row.conclusion == "better" else "loses to"
        return f"{row.system} {verb} {row.baseline} ({row.suite}, {row.judge}): {net}."
    need = (
        f"; about {row.n_to_decide:,} prompts would decide a difference of this size"
        if row.n_to_decide
        else ""
    )
    if kind == "resample":
        return f"A/A control {who}: no difference found, as it should be: {net}."
    return f"{who}: undecided: {net}{need}."


class _Kind(NamedTuple):
    """What of a prompt decides where it counts."""

    category: str
    family: str


def comparison_rows(tables: Tables, facts: Facts, power: Mapping[str, JudgePower]) -> list[Comparison]:
    """One row per judge, suite and pair of systems, in the order of the experiment."""
    prompts = {
        (row["suite"], row["prompt_id"]): _Kind(row["category"], row["family"]) for row in tables["prompts"]
    }
    lengths = _lengths(tables["responses"])
    kinds = {row["system"]: row["kind"] for row in tables["responses"]}
    found = group(tables["verdicts"], "judge", "suite", "candidate", "baseline")
    order = {pair: i for i, pair in enumerate(facts.comparisons)}
    judges = [row["judge"] for row in tables["judges"]]
    suites = [suite["name"] for suite in facts.suites]
    keys = sorted(found, key=lambda k: (judges.index(k[0]), suites.index(k[1]), order.get((k[2], k[3]), 99)))
    rows = []
    for judge, suite, candidate, baseline in keys:
        verdicts = found[judge, suite, candidate, baseline]
        by_prompt = {k[0]: combine(rows) for k, rows in group(verdicts, "prompt_id").items()}
        families = {p: prompts[suite, p].family or p for p in by_prompt}
        row = Comparison(
            suite=suite,
            judge=judge,
            system=candidate,
            baseline=baseline,
            **_tally(by_prompt.values()),
            **_rates(by_prompt, families),
            avg_length=_mean_length(lengths.get((suite, candidate), {})),
            avg_length_base=_mean_length(lengths.get((suite, baseline), {})),
            orders=_orders(verdicts),
            has_power=power[judge].has_power,
            conclusion="undecided",
            sentence="",
            by_category=_slices(by_prompt, families, suite, prompts, facts),
            length=control_length(
                by_prompt,
                families,
                lengths.get((suite, candidate), {}),
                lengths.get((suite, baseline), {}),
                {p: i for i, (s, p) in enumerate(prompts) if s == suite} if suite == _ALPACA_EVAL else None,
                facts.length_data,
            ),
        )
        row.conclusion = _conclude(row, power[judge].not_audited)
        row.sentence = comparison_sentence(row, kinds.get(candidate, ""))
        rows.append(row)
    return rows


def _orders(verdicts: Sequence[Row]) -> Literal[0, 1, 2]:
    """Most orders of one pair. ``unknown`` is one order too: imported, and not recorded which."""
    pairs = group((v for v in verdicts if v["order"] != "none"), "prompt_id").values()
    most = max((len({verdict["order"] for verdict in pair}) for pair in pairs), default=0)
    return 2 if most > 1 else 1 if most else 0


def _tally(preferences: Iterable[Preference]) -> dict[str, Any]:
    found = list(preferences)
    values = [p.value for p in found if p.value is not None]
    failures = Counter(p.status for p in found if p.value is None)
    return {
        "n_total": len(found),
        "n_wins": sum(v > 0.5 for v in values),
        "n_draws": sum(v == 0.5 for v in values),
        "n_wins_base": sum(v < 0.5 for v in values),
        "n_failed": len(found) - len(values),
        "failures": dict(sorted(failures.items())),
        "n_inconsistent": sum(p.inconsistent for p in found),
        "n_identical": sum(p.identical for p in found),
    }


def _rates(preferences: Mapping[str, Preference], families: Mapping[str, str]) -> dict[str, Any]:
    """All definitions with intervals, AlpacaEval's names, the test, and what it would take to decide."""
    import numpy as np

    from aligner_bench.stats.hypothesis_tests import mcnemar_exact
    from aligner_bench.stats.power import mde, required_n

    values, clusters = _judged(preferences, families)
    p = np.array(values, dtype=np.float64)
    n = len(p)
    sd = float(p.std(ddof=1)) if n > 1 else None
    mean = float(p.mean()) if n else None
    sign = np.sign(p - 0.5)
    effect = abs(mean - 0.5) if mean is not None else 0.0
    return {
        "rates": {name: _rate(values, clusters, name) for name in RATES},
        "win_rate": None if mean is None else 100 * mean,
        "standard_error": None if sd is None else 100 * sd / n**0.5,
        "discrete_win_rate": float(100 * ((sign + 1) / 2).mean()) if n else None,
        "p_value": mcnemar_exact(int((sign > 0).sum()), int((sign < 0).sum())) if n else None,
        "mde": mde(n, sd) if sd else None,
        "n_to_decide": required_n(effect, sd) if sd and effect > 0 else None,
    }


def _judged(
    preferences: Mapping[str, Preference], families: Mapping[str, str]
) -> tuple[list[float], list[str]]:
    judged = [(p.value, families[key]) for key, p in preferences.items() if p.value is not None]
    return [value for value, _ in judged], [family for _, family in judged]


def _rate(values: Sequence[float], clusters: Sequence[str], definition: str) -> Number:
    from aligner_bench.stats.winrate import win_rate

    return Number.of(win_rate(values, definition, clusters if len(set(clusters)) < len(clusters) else None))


def _slices(
    preferences: Mapping[str, Preference],
    families: Mapping[str, str],
    suite: str,
    prompts: Mapping[tuple[str, str], _Kind],
    facts: Facts,
) -> list[Slice]:
    info = next(s for s in facts.suites if s["name"] == suite)
    categories = dict.fromkeys([*info["relevant"], *info["categories"]])
    slices = []
    for category in categories:
        part = {k: p for k, p in preferences.items() if prompts[suite, k].category == category}
        if part:
            values, clusters = _judged(part, families)
            rates = {name: _rate(values, clusters, name) for name in RATES}
            slices.append(Slice(category=category, rates=rates, **_tally(part.values())))
    return slices


def _conclude(
    row: Comparison, not_audited: bool
) -> Literal["better", "worse", "undecided", "same", "no_power", "not_audited"]:
    """What the weighted rate's interval allows to be said."""
    rate = row.rates["weighted"]
    if row.n and row.n_identical == row.n:
        return "same"
    if not row.has_power:
        return "not_audited" if not_audited else "no_power"
    if rate.lower is not None and rate.lower > 0.5:
        return "better"
    if rate.upper is not None and rate.upper < 0.5:
        return "worse"
    return "undecided"


def _lengths(responses: Sequence[Row]) -> dict[tuple[Any, ...], dict[str, int]]:
    """(suite, system) -> prompt_id -> characters of the answer."""
    return {
        key: {row["prompt_id"]: len(row["text"]) for row in rows}
        for key, rows in group(responses, "suite", "system").items()
    }


def _mean_length(lengths: Mapping[str, int]) -> int:
    """Mean characters, truncated; failed answers count as length 0, as AlpacaEval counts them."""
    return int(sum(lengths.values()) / len(lengths)) if lengths else 0


class Tally(Published):
    """What became of the prompts of one comparison: every prompt is in exactly one of the first four."""

    n_total: int = Field(description="prompts in the suite; the flat leaderboard calls this n_prompts")
    n_wins: int
    n_draws: int
    n_wins_base: int
    n_failed: int = Field(description="prompts without a verdict, by any cause")
    failures: dict[str, int] = Field(description="status of the failed ones -> count")
    n_inconsistent: int = Field(
        description="pairs whose two orders disagree; also counted in the first three"
    )
    n_identical: int = Field(description="pairs whose texts are the same; counted as draws")

    @property
    def n(self) -> int:
        """Prompts with a verdict."""
        return self.n_wins + self.n_draws + self.n_wins_base


class Slice(Tally):
    """A comparison within one category."""

    category: str
    rates: dict[str, Number] = Field(description="definition -> rate")


class Comparison(Tally):
    """One candidate against one baseline, by one judge, on one suite."""

    suite: str
    judge: str
    system: str = Field(description="the candidate")
    baseline: str
    win_rate: float | None = Field(description="percent; AlpacaEval's name for the weighted rate")
    standard_error: float | None = Field(description="percent; sample sd of preferences / sqrt(n)")
    discrete_win_rate: float | None = Field(description="percent; ties count half")
    avg_length: int = Field(description="mean characters of the candidate's answers, truncated")
    avg_length_base: int
    orders: Literal[0, 1, 2] = Field(description="0: the judge has no order; 1: imported, one order only")
    rates: dict[str, Number]
    p_value: float | None = Field(description="exact McNemar test of wins against losses")
    mde: float | None = Field(description="least true difference from 0.5 found with 80 % power at this n")
    n_to_decide: int | None = Field(description="prompts that would decide an effect of the size seen")
    has_power: bool = Field(description="contract 6: may this row enter the headline and the gate?")
    conclusion: Literal["better", "worse", "undecided", "same", "no_power", "not_audited"]
    sentence: str = Field(description="the row in words")
    by_category: list[Slice]
    length: LengthControl | None = Field(None, description="None: too few pairs, or all verdicts the same")
