"""Compute one row per comparison, judge and suite: counts, rates, intervals, conclusion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from aligner_bench.core.preferences import Preference, combine
from aligner_bench.results.facts import Facts
from aligner_bench.results.judges import JudgePower
from aligner_bench.results.length import LengthControl, control_length
from aligner_bench.results.measures import comparisons as m
from aligner_bench.results.measures.systems import WHOLE_LENGTH
from aligner_bench.results.number import Number, Origin, Published, points
from aligner_bench.store.tables import Row, Tables, group

_ALPACA_EVAL = "alpaca-eval"
Conclusion = Literal["better", "worse", "undecided", "same", "no_power", "not_audited"]
_COUNTS = (m.N_TOTAL, m.N_WINS, m.N_DRAWS, m.N_WINS_BASE, m.N_FAILED, m.N_INCONSISTENT, m.N_IDENTICAL)


class Tally(Published):
    """Counts of one comparison: every prompt is in exactly one of wins, ties, losses and failed."""

    n_total: Annotated[
        int, m.N_TOTAL, Field(description="prompts of the suite; the flat leaderboard calls this n_prompts")
    ]
    n_wins: Annotated[int, m.N_WINS]
    n_draws: Annotated[int, m.N_DRAWS]
    n_wins_base: Annotated[int, m.N_WINS_BASE]
    n_failed: Annotated[int, m.N_FAILED]
    failures: Annotated[dict[str, int], m.FAILURES]
    n_inconsistent: Annotated[int, m.N_INCONSISTENT]
    n_identical: Annotated[int, m.N_IDENTICAL]

    @property
    def n(self) -> int:
        """Prompts with a verdict."""
        return self.n_wins + self.n_draws + self.n_wins_base


class Slice(Tally):
    """A comparison within one category."""

    category: str
    rates: Annotated[dict[str, Number], m.BY_DEFINITION]


class Comparison(Tally):
    """One candidate against one baseline, by one judge, on one suite."""

    origin: ClassVar = Origin("verdicts", {"system": "candidate"})
    suite: str
    judge: str
    system: str = Field(description="the candidate")
    baseline: str
    win_rate: Annotated[float | None, m.WIN_RATE]
    standard_error: Annotated[float | None, m.STANDARD_ERROR]
    discrete_win_rate: Annotated[float | None, m.DISCRETE_WIN_RATE]
    avg_length: Annotated[int, WHOLE_LENGTH]
    avg_length_base: Annotated[int, WHOLE_LENGTH]
    orders: Literal[0, 1, 2] = Field(description="0: the judge has no order; 1: imported, one order only")
    rates: Annotated[dict[str, Number], m.BY_DEFINITION]
    p_value: Annotated[float | None, m.WIN_P]
    mde: Annotated[float | None, m.MDE]
    n_to_decide: Annotated[int | None, m.N_TO_DECIDE]
    has_power: bool = Field(description="contract 6: may this row enter the headline and the gate?")
    conclusion: Conclusion
    sentence: str = Field(description="the row in words")
    by_category: list[Slice]
    length: LengthControl | None = Field(None, description="None: too few pairs, or all verdicts the same")


class _Prompt(NamedTuple):
    category: str
    family: str


FEW_PROMPTS = 5
"""Prompts of a category below which its rate supports no conclusion by itself."""


def too_few(numbers: Sequence[Number]) -> bool:
    """Test whether no category has enough prompts for a conclusion about it alone."""
    return max((number.n for number in numbers), default=0) < FEW_PROMPTS


def comparison_rows(tables: Tables, facts: Facts, power: Mapping[str, JudgePower]) -> list[Comparison]:
    """Compute one row per judge, suite and pair of systems, in the order of the experiment."""
    prompts = {
        (row["suite"], row["prompt_id"]): _Prompt(row["category"], row["family"]) for row in tables["prompts"]
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
            **_tally(list(by_prompt.values())),
            **_rates(by_prompt, families),
            avg_length=WHOLE_LENGTH(list(lengths.get((suite, candidate), {}).values())),
            avg_length_base=WHOLE_LENGTH(list(lengths.get((suite, baseline), {}).values())),
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
    """Most orders of one pair. ``unknown`` is one order too: imported without its order."""
    pairs = group((v for v in verdicts if v["order"] != "none"), "prompt_id").values()
    most = max((len({verdict["order"] for verdict in pair}) for pair in pairs), default=0)
    return 2 if most > 1 else 1 if most else 0


def _tally(preferences: Sequence[Preference]) -> dict[str, Any]:
    failures = Counter(p.status for p in preferences if p.value is None)
    counts = {measure.name: measure.total(preferences) for measure in _COUNTS}
    return counts | {"failures": dict(sorted(failures.items()))}


def _rates(preferences: Mapping[str, Preference], families: Mapping[str, str]) -> dict[str, Any]:
    """All definitions with intervals, AlpacaEval's names, the test, and the prompts that would decide."""
    rows = list(preferences.values())
    values, clusters = _judged(preferences, families)
    return {
        "rates": _by_definition(values, clusters),
        "win_rate": m.WIN_RATE(m.WIN_RATE.of_rows(rows)),
        "standard_error": m.STANDARD_ERROR(values),
        "discrete_win_rate": m.DISCRETE_WIN_RATE(m.DISCRETE_WIN_RATE.of_rows(rows)),
        "p_value": m.WIN_P(m.N_WINS.total(rows), m.N_WINS_BASE.total(rows)) if values else None,
        "mde": m.MDE(values),
        "n_to_decide": m.N_TO_DECIDE(values),
    }


def _judged(
    preferences: Mapping[str, Preference], families: Mapping[str, str]
) -> tuple[list[float], list[str]]:
    judged = [(p.value, families[key]) for key, p in preferences.items() if p.value is not None]
    return [value for value, _ in judged], [family for _, family in judged]


def _by_definition(values: Sequence[float], clusters: Sequence[str]) -> dict[str, Number]:
    return {name: measure.number(values, clusters) for name, measure in m.RATES.items()}


def _slices(
    preferences: Mapping[str, Preference],
    families: Mapping[str, str],
    suite: str,
    prompts: Mapping[tuple[str, str], _Prompt],
    facts: Facts,
) -> list[Slice]:
    info = next(s for s in facts.suites if s["name"] == suite)
    categories = dict.fromkeys([*info["relevant"], *info["categories"]])
    slices = []
    for category in categories:
        part = {k: p for k, p in preferences.items() if prompts[suite, k].category == category}
        if part:
            values, clusters = _judged(part, families)
            rates = _by_definition(values, clusters)
            slices.append(Slice(category=category, rates=rates, **_tally(list(part.values()))))
    return slices


def _conclude(row: Comparison, not_audited: bool) -> Conclusion:
    """The conclusion that the weighted rate's interval allows."""
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


def comparison_sentence(row: Comparison, kind: str) -> str:
    """State one comparison in words; net wins are wins minus losses, in percent of the prompts (omega)."""
    who = f"{row.system} against {row.baseline} ({row.suite}, {row.judge})"
    basis = f"n = {row.n}, {row.n_draws} ties"
    if row.n == 0:
        return f"{who}: no pair has a verdict ({row.n_failed} failed)."
    if row.conclusion == "same":
        return f"{who}: all {row.n} answers are the same, so all are ties."
    net = f"net wins {points(row.rates['omega'])}, {basis}"
    if row.conclusion == "no_power":
        return f"{who}: no conclusion: the judge has no discriminating power ({net})."
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
        return f"A/A control {who}: no difference found, as expected: {net}."
    return f"{who}: undecided: {net}{need}."
