"""Rows become numbers: the only place where published results are computed.

Everything here is a function of the tables in a run folder and of the few facts in ``Facts``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from aligner_bench import harm, phrases
from aligner_bench.anatomy import anatomy_tables
from aligner_bench.cost_rows import cost_rows
from aligner_bench.judges.base import CUT
from aligner_bench.judges.canary_trials import canary_results, canary_warnings
from aligner_bench.length import Published, control_length
from aligner_bench.panels import Panel, panel
from aligner_bench.paper_rows import paper_rows
from aligner_bench.preferences import Preference, combine, first_slot_wins
from aligner_bench.schema import (
    Comparison,
    Copies,
    InspectorQuality,
    JudgePower,
    Number,
    RefusalTransitions,
    Results,
    ScoreState,
    Slice,
    SuiteInfo,
    SystemRow,
)
from aligner_bench.tables import Row, group
from aligner_bench.trajectories import step_tables
from aligner_bench.trend_rows import trend_rows

Tables = Mapping[str, Sequence[Row]]
_ALPACA_EVAL = "alpaca-eval"
_RATES = ("weighted", "discrete", "strict", "strict_all", "omega")


class _Kind(NamedTuple):
    """What of a prompt decides where it counts."""

    category: str
    family: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What results need beside the rows; stored in the manifest."""

    experiment: str
    experiment_hash: str
    scale: Literal["full", "smoke"]
    suites: Sequence[dict[str, Any]]
    comparisons: Sequence[tuple[str, str]]
    headline: str | None = None
    length_data: Published | None = None  # AlpacaEval's own, where an import was given it
    notes: Sequence[str] = ()  # what an import had to decide
    ensembles: Mapping[str, Sequence[str]] = field(default_factory=dict)  # ensemble -> its members
    paper: Mapping[str, Any] | None = None  # the published table that is repeated: name, judge, cells
    trends: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # name -> system -> size
    level: float = field(default=0.95)


def compute(tables: Tables, facts: Facts) -> Results:
    """Every published number of a run."""
    from aligner_bench.stats.winrate import DEFINITIONS

    judges = [
        _judge_power(row, tables, panel(facts.ensembles.get(row["judge"], ()), tables))
        for row in tables["judges"]
    ]
    rows = _comparisons(tables, facts, {judge.judge: judge for judge in judges})
    systems = _systems(tables)
    copies = _copies(tables, facts)
    canaries = canary_results(tables)
    raters = harm.rater_powers(tables)
    harmful = harm.harm_rows(tables, facts.suites, raters)
    return Results(
        experiment=facts.experiment,
        experiment_hash=facts.experiment_hash,
        scale=facts.scale,
        level=facts.level,
        suites=[SuiteInfo(**suite) for suite in facts.suites],
        judges=judges,
        inspectors=_inspectors(tables),
        systems=systems,
        rows=rows,
        trajectories=_trajectories(tables),
        **step_tables(tables),
        **anatomy_tables(tables),
        refusals=_refusals(tables),
        copies=copies,
        costs=cost_rows(tables),
        raters=raters,
        harm=harmful,
        canaries=canaries,
        papers=paper_rows(tables, rows, facts.paper, facts.scale),
        trends=trend_rows(tables, facts.trends, {judge.judge: judge.has_power for judge in judges}),
        headline=[
            *phrases.headline(rows, systems, judges, facts.headline),
            *harm.headlines(harmful),
        ],
        warnings=[
            *phrases.warnings(rows, systems, judges, facts.scale),
            *phrases.copies(copies),
            *harm.warnings(harmful, raters),
            *canary_warnings(canaries),
            *facts.notes,
        ],
        definitions={name: DEFINITIONS[name] for name in _RATES},
    )


def _comparisons(tables: Tables, facts: Facts, power: Mapping[str, JudgePower]) -> list[Comparison]:
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
        row.sentence = phrases.comparison(row, kinds.get(candidate, ""))
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
        "rates": {name: _rate(values, clusters, name) for name in _RATES},
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
            rates = {name: _rate(values, clusters, name) for name in _RATES}
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


def _systems(tables: Tables) -> list[SystemRow]:
    return [
        _system(suite, system, rows)
        for (suite, system), rows in group(tables["responses"], "suite", "system").items()
    ]


class _Brief(NamedTuple):
    """What of an answer is counted; whole rows of a large run would not fit in memory."""

    status: str
    length: int
    same: bool | None  # as the upstream's; None where nothing was corrected
    correct: bool | None
    upstream_correct: bool | None
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cut: bool

    @classmethod
    def of(cls, row: Row) -> _Brief:
        text, before = row["text"], row["upstream"]
        return cls(
            row["status"],
            len(text),
            None if before is None else text == before,
            row["correct"],
            row["upstream_correct"],
            row["calls"],
            row["prompt_tokens"],
            row["completion_tokens"],
            row["cut_tokens"] > 0,
        )


def _system(suite: str, system: str, whole: Sequence[Row]) -> SystemRow:
    from aligner_bench.stats.hypothesis_tests import mcnemar_exact

    rows = [_Brief.of(row) for row in whole]
    corrected = [row for row in rows if row.same is not None]
    rated = any(row.correct is not None for row in rows)
    wrong = [row for row in corrected if row.upstream_correct is False]
    right = [row for row in corrected if row.upstream_correct is True]
    repaired = sum(bool(row.correct) for row in wrong)
    damaged = sum(not row.correct for row in right)
    return SystemRow(
        suite=suite,
        system=system,
        kind=whole[0]["kind"],
        upstream=whole[0]["upstream_model"],
        n_total=len(rows),
        statuses=dict(sorted(Counter(row.status for row in rows).items())),
        avg_length=sum(row.length for row in rows) / len(rows),
        accuracy=_share(sum(bool(row.correct) for row in rows), len(rows)) if rated else None,
        unchanged=_share(sum(bool(row.same) for row in corrected), len(corrected)),
        repair=_share(repaired, len(wrong)),
        damage=_share(damaged, len(right)),
        n_repaired=repaired,
        n_damaged=damaged,
        repair_p_value=mcnemar_exact(repaired, damaged) if rated and corrected else None,
        calls=sum(row.calls for row in rows),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
        n_cut=sum(row.cut for row in rows),
    )


def _share(k: int, n: int) -> Number | None:
    """A share with Wilson's interval; None where there is nothing to divide by."""
    from aligner_bench.stats.intervals import wilson

    return Number.of(wilson(k, n)) if n else None


def _judge_power(judge: Row, tables: Tables, members: Panel | None) -> JudgePower:
    """Contract 6: accuracy on pairs with a known winner, consistency and first-slot share."""
    from aligner_bench.stats.intervals import clopper_pearson

    name = judge["judge"]
    audits = [row for row in tables["audits"] if row["judge"] == name]
    verdicts = group(tables["verdicts"], "judge").get((name,), [])
    known = [combine(rows) for rows in group(audits, "pair_id").values()]
    asked = [
        *group(audits, "pair_id").values(),
        *group(verdicts, "suite", "prompt_id", "candidate", "baseline").values(),
    ]
    twice = [combine(rows) for rows in asked if len({row["order"] for row in rows}) > 1]
    judged = [p for p in twice if p.value is not None and not p.identical]
    slots = first_slot_wins([row for row in [*audits, *verdicts] if row["detail"] != "identical texts"])
    accuracy = _share(sum(p.value is not None and p.value > 0.5 for p in known), len(known))
    first = Number.of(clopper_pearson(sum(slots), len(slots))) if slots else None
    has_power, sentence = phrases.power(judge, accuracy, first)
    return JudgePower(
        judge=name,
        kind=judge["kind"],
        identity=judge["identity"],
        description=judge["description"],
        accuracy=accuracy,
        consistency=_share(sum(not p.inconsistent for p in judged), len(judged)),
        first_slot=first,
        n_cut=sum(CUT in row["detail"] for row in verdicts),
        panel=members,
        has_power=has_power,
        sentence=f"{sentence} As for {name}: {members.sentence}." if members else sentence,
    )


def _copies(tables: Tables, facts: Facts) -> list[Copies]:
    """The reference-copy screen of every comparison.

    Systems that share an upstream model are left out: they resemble each other without copying.
    """
    from aligner_bench.suites.screen import copy_screen

    found = []
    answers = group(tables["responses"], "suite", "system")
    for suite, (system, reference) in ((s["name"], pair) for s in facts.suites for pair in facts.comparisons):
        ours, theirs = answers.get((suite, system), []), answers.get((suite, reference), [])
        if not ours or not theirs or ours[0]["upstream_model"] == theirs[0]["upstream_model"]:
            continue
        texts = [
            {row["prompt_id"]: row["text"] for row in rows if row["status"] not in ("error", "missing")}
            for rows in (ours, theirs)
        ]
        screen = copy_screen(texts[0], texts[1])
        found.append(
            Copies(
                suite=suite,
                system=system,
                reference=reference,
                identical=screen.identical,
                prefix_sharing=screen.prefix_sharing,
                n=screen.n,
            )
        )
    return found


def _inspectors(tables: Tables) -> list[InspectorQuality]:
    from aligner_bench.inspectors.classifier import quality

    found = []
    for (name, identity), rows in group(tables["inspectors"], "inspector", "identity").items():
        figures = quality(
            [(row["worse"], row["better"]) for row in rows],
            [(row["worse_length"], row["better_length"]) for row in rows],
        )
        found.append(
            InspectorQuality(
                inspector=name,
                identity=identity,
                accuracy=_share(figures["n_right"], 2 * figures["n_pairs"]),
                auc=figures["auc"],
                auc_length_matched=figures["auc_length_matched"],
                n_pairs=figures["n_pairs"],
                n_length_matched=figures["n_length_matched"],
            )
        )
    return found


def _refusals(tables: Tables) -> list[RefusalTransitions]:
    from aligner_bench.raters.transitions import refusal_transitions

    found = [
        refusal_transitions(suite, system, rows)
        for (suite, system), rows in group(tables["responses"], "suite", "system").items()
    ]
    return [matrix for matrix in found if matrix is not None]


def _trajectories(tables: Tables) -> list[ScoreState]:
    """Score distributions of systems whose traces hold scores at the start: squads."""
    states = []
    for (suite, system), rows in group(tables["responses"], "suite", "system").items():
        traces = [json.loads(row["trace"]) for row in rows]
        traces = [trace for trace in traces if trace and trace[0]["action"] == "start" and trace[0]["scores"]]
        for inspector in sorted(traces[0][0]["scores"]) if traces else ():
            for state, at in (("start", _start), ("after_first", _after_first), ("end", _end)):
                # A step that failed, or that other correctors made, has no such score.
                steps = [at(trace)["scores"] for trace in traces]
                values = [scores[inspector] for scores in steps if inspector in scores]
                if values:
                    states.append(_state(suite, system, inspector, state, values))
    return states


def _start(trace: list[Any]) -> Any:
    return trace[0]


def _end(trace: list[Any]) -> Any:
    return trace[-1]


def _after_first(trace: list[Any]) -> Any:
    return next((step for step in trace if step["action"] in ("correct", "pick")), trace[0])


def _state(suite: str, system: str, inspector: str, state: Any, values: Sequence[float]) -> ScoreState:
    import numpy as np

    from aligner_bench.stats.intervals import mean_t

    scores = np.array(values)
    return ScoreState(
        suite=suite,
        system=system,
        inspector=inspector,
        state=state,
        mean=Number.of(mean_t(scores)),
        quantiles=[float(q) for q in np.quantile(scores, (0.05, 0.25, 0.5, 0.75, 0.95))],
        histogram=[int(c) for c in np.histogram(scores, bins=20, range=(0, 1))[0]],
    )
