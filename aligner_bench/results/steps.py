"""What correctors did step by step: effects of aligners on inspectors, gains, orders, and what was missed.

Everything is read from the traces of the responses (papers: Ngweta et al. 2024, sections 3 and 4, Fig. 2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from aligner_bench.results.number import Number, Published
from aligner_bench.store.tables import Row, group
from aligner_bench.store.traces import REWRITES, Move, Scores, Trace, read_trace
from aligner_bench.texts.edits import edit_ratio


class Effect(Published):
    """What the rewrites of one actor did to one inspector's score: a cell of the effect matrix.

    All rewrites count, also those that an accept rule rejected: leaving them out would choose by the outcome.
    An actor acts where its own score is low, so part of a rise in that one is a return to the mean.
    """

    suite: str
    system: str
    actor: str
    inspector: str
    own: bool = Field(description="is it the inspector on whose score the actor acts?")
    change: Number = Field(description="mean score after - before, over the actor's rewrites")
    p_value: float = Field(description="two-sided cluster-robust t test of no change")
    p_holm: float = Field(description="corrected for all cells of this system's matrix (Holm)")
    verdict: Literal["raises", "lowers", "no_effect", "undecided"] = Field(
        description="raises or lowers: interval beyond 0 and p_holm < 0.05; no_effect: interval within ± 0.05"
    )


class Actor(Published):
    """How often one aligner of a corrector had its turn, and what it does to the others' scores."""

    suite: str
    system: str
    actor: str
    inspector: str = Field(description="on whose score it acts; empty where there is none")
    n_prompts: int = Field(description="answers of the system")
    n_acted: int = Field(description="rewrites that were kept")
    n_skipped: int = Field(description="turns at which the score was high enough")
    n_rejected: int = Field(description="rewrites that an accept rule did not keep")
    n_offered: int = Field(description="rewrites that stood for choice")
    n_picked: int = Field(description="times its rewrite was the choice")
    touched: Number = Field(description="share of answers that it rewrote at least once, kept or not")
    verdict: Literal["synergy", "conflict", "independent", "undecided", "alone"] = Field(
        description="towards the other inspectors: synergy raises some and lowers none, conflict lowers "
        "some, independent has no effect on any; alone: no other inspector saw its rewrites"
    )


class Gain(Published):
    """What one step of a corrector was worth, over all answers that came to it; skips count as no change."""

    suite: str
    system: str
    step: int = Field(description="1 is the first after the start")
    n_changed: int = Field(description="answers that the step changed")
    lowest: Number = Field(description="mean change of the lowest inspector score")
    mean: Number = Field(description="mean change of the mean inspector score")
    edit_ratio: Number = Field(description="mean token edit distance over the text's length before the step")


class OrderUse(Published):
    """One order in which members were visited: how common it was, and where it led."""

    suite: str
    system: str
    order: str = Field(description="members, first one first")
    share: Number = Field(description="share of the answers that have an order")
    end_lowest: Number = Field(description="mean of the lowest inspector score at the end")


class Oracle(Published):
    """What could be won by answering with the best text that the corrector had in hands, not the last one."""

    suite: str
    system: str
    end_lowest: Number = Field(description="mean of the lowest inspector score of the final answers")
    best_lowest: Number = Field(description="the same of the text with the highest one")
    gap: Number = Field(description="mean difference of the two")
    end_right: Number | None = Field(description="share of final answers right by the references")
    best_right: Number | None = Field(description="share of prompts with any text right by the references")
    right_gap: Number | None = Field(description="difference of the two shares")


class Point(Published):
    """One moment of one answer's way: what happened, and all scores after it."""

    actor: str
    action: str
    scores: dict[str, float]


class Example(Published):
    """One answer's way through a corrector, chosen by rule."""

    suite: str
    system: str
    prompt_id: str
    reason: str = Field(description="why this one: by the change of its lowest score, then by prompt_id")
    thresholds: dict[str, float] = Field(description="inspector -> the bound below which its member acts")
    points: list[Point]


Tables = Mapping[str, Sequence[Row]]
SMALL = 0.05
"""Half the width of the band around 0 in which an effect on a score, from 0 to 1, is called none."""
_ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class _Way:
    """One answer's trace with what is known of its prompt."""

    prompt_id: str
    family: str
    references: Sequence[str]
    text: str
    failed: bool
    trace: Trace


@dataclass(frozen=True, slots=True)
class _Place:
    suite: str
    system: str
    ways: Sequence[_Way]

    @property
    def keys(self) -> dict[str, str]:
        """What every row says of itself."""
        return {"suite": self.suite, "system": self.system}


@dataclass(slots=True)
class _Sample:
    """Values with the families they come from."""

    values: list[float] = field(default_factory=list)
    families: list[str] = field(default_factory=list)

    def add(self, value: float, family: str) -> None:
        self.values.append(value)
        self.families.append(family)

    def mean(self, bounds: tuple[float, float] | None = (-1.0, 1.0)) -> Number:
        """The mean with its interval, by family where families have several values."""
        from aligner_bench.stats.intervals import mean_t

        repeated = len(set(self.families)) < len(self.families)
        return Number.of(mean_t(self.values, self.families if repeated else None, bounds=bounds))

    def p_value(self) -> float:
        """Two-sided, of no change on average; 1.0 where nothing changed or there is one family only."""
        from aligner_bench.stats.hypothesis_tests import drop_p

        if not any(self.values) or len(set(self.families)) < 2:
            return 1.0
        below = drop_p(self.values, 0.0, self.families)
        return 2 * min(below, 1 - below)


def step_tables(tables: Tables) -> dict[str, list[Any]]:
    """All tables of this module, by their names in the results."""
    makers: dict[str, Callable[[_Place], Iterable[Any]]] = {
        "gains": _gains,
        "orders": _orders,
        "oracles": _oracles,
        "examples": _examples,
    }
    found: dict[str, list[Any]] = {name: [] for name in ("effects", "actors", *makers)}
    for place in _places(tables):
        effects = _effects(place)
        found["effects"] += effects
        found["actors"] += _actors(place, effects)
        for name, make in makers.items():
            found[name] += make(place)
    return found


def _places(tables: Tables) -> Iterator[_Place]:
    """Every system on every suite whose traces begin with an upstream answer and go on from it."""
    prompts = {(row["suite"], row["prompt_id"]): row for row in tables["prompts"]}
    for (suite, system), rows in group(tables["responses"], "suite", "system").items():
        ways = [_way(row, prompts[suite, row["prompt_id"]]) for row in rows if len(row["trace"]) > 2]
        ways = [way for way in ways if way.trace.start is not None and way.trace.moves]
        if ways and any(move.action != "copy" for way in ways for move in way.trace.moves):
            yield _Place(suite, system, sorted(ways, key=lambda way: way.prompt_id))


def _way(row: Row, prompt: Row) -> _Way:
    return _Way(
        row["prompt_id"],
        prompt["family"] or row["prompt_id"],
        prompt["references"] or (),
        row["text"],
        row["status"] == "error",
        read_trace(row["trace"]),
    )


def _shared(before: Scores, after: Scores) -> list[str]:
    return [name for name in before if name in after]


# Effects and actors ------------------------------------------------------------
def _effects(place: _Place) -> list[Effect]:
    """The effect matrix: rows by actor, columns by inspector, in order of first appearance."""
    from aligner_bench.stats.hypothesis_tests import holm

    cells: dict[tuple[str, str], _Sample] = {}
    own: set[tuple[str, str]] = set()
    for way in place.ways:
        for move in way.trace.moves:
            if move.action not in REWRITES:
                continue
            own.add((move.actor, move.inspector))
            for name in _shared(move.before, move.written_scores):
                change = move.written_scores[name] - move.before[name]
                cells.setdefault((move.actor, name), _Sample()).add(change, way.family)
    keys = sorted(cells)
    raw = [cells[key].p_value() for key in keys]
    adjusted = [float(p) for p in holm(raw)]
    return [
        _effect(place, key, cells[key].mean(), p, q, key in own)
        for key, p, q in zip(keys, raw, adjusted, strict=True)
    ]


def _effect(
    place: _Place, key: tuple[str, str], change: Number, p: float, p_holm: float, own: bool
) -> Effect:
    return Effect(
        **place.keys,
        actor=key[0],
        inspector=key[1],
        own=own,
        change=change,
        p_value=p,
        p_holm=p_holm,
        verdict=_verdict(change, p_holm),
    )


def _verdict(change: Number, p_holm: float) -> Literal["raises", "lowers", "no_effect", "undecided"]:
    if change.lower is None or change.upper is None:
        return "undecided"
    if p_holm < _ALPHA and change.lower > 0:
        return "raises"
    if p_holm < _ALPHA and change.upper < 0:
        return "lowers"
    return "no_effect" if change.lower >= -SMALL and change.upper <= SMALL else "undecided"


def _actors(place: _Place, effects: Sequence[Effect]) -> list[Actor]:
    actions: Counter[tuple[str, str]] = Counter()
    touched: dict[str, set[str]] = {}
    inspectors: dict[str, str] = {}
    for way in place.ways:
        for move in way.trace.moves:
            actions[move.actor, move.action] += 1
            inspectors.setdefault(move.actor, move.inspector)
            if move.action in REWRITES:
                touched.setdefault(move.actor, set()).add(way.prompt_id)
    names = sorted(inspectors)
    return [
        _actor(place, name, actions, len(touched.get(name, ())), inspectors[name], effects) for name in names
    ]


def _actor(
    place: _Place,
    name: str,
    actions: Mapping[tuple[str, str], int],
    touched: int,
    inspector: str,
    effects: Sequence[Effect],
) -> Actor:
    from aligner_bench.stats.intervals import wilson

    def count(action: str) -> int:
        return actions.get((name, action), 0)

    return Actor(
        **place.keys,
        actor=name,
        inspector=inspector,
        n_prompts=len(place.ways),
        n_acted=count("correct"),
        n_skipped=count("skip"),
        n_rejected=count("reject"),
        n_offered=count("candidate"),
        n_picked=count("pick"),
        touched=Number.of(wilson(touched, len(place.ways))),
        verdict=_towards_others([cell.verdict for cell in effects if cell.actor == name and not cell.own]),
    )


def _towards_others(
    verdicts: Sequence[str],
) -> Literal["synergy", "conflict", "independent", "undecided", "alone"]:
    if not verdicts:
        return "alone"
    if "lowers" in verdicts:
        return "conflict"
    if "raises" in verdicts:
        return "synergy"
    return "independent" if set(verdicts) == {"no_effect"} else "undecided"


# Steps, orders and what was missed ------------------------------------------------------------
def _line(way: _Way) -> list[Move]:
    """The moves that make the answer; candidates only stand for choice."""
    return [move for move in way.trace.moves if move.action != "candidate"]


def _gains(place: _Place) -> Iterator[Gain]:
    lines = [(way, _line(way)) for way in place.ways]
    for step in range(1, max(len(line) for _, line in lines) + 1):
        lowest, mean, edits, changed = _Sample(), _Sample(), _Sample(), 0
        for way, line in lines:
            if len(line) < step or (way.failed and len(line) == step):
                continue  # what a failed rewrite would have been worth is not known
            move = line[step - 1]
            before = move.text_before or ""
            changed += move.text != before
            edits.add(edit_ratio(before, move.text) if move.text != before else 0.0, way.family)
            names = _shared(move.before, move.after)
            if names:
                old, new = ([scores[name] for name in names] for scores in (move.before, move.after))
                lowest.add(min(new) - min(old), way.family)
                mean.add((sum(new) - sum(old)) / len(names), way.family)
        yield Gain(
            **place.keys,
            step=step,
            n_changed=changed,
            lowest=lowest.mean(),
            mean=mean.mean(),
            edit_ratio=edits.mean(bounds=None).floored(),
        )


def _orders(place: _Place) -> Iterator[OrderUse]:
    from aligner_bench.stats.intervals import wilson

    ends: dict[tuple[str, ...], _Sample] = {}
    used: Counter[tuple[str, ...]] = Counter()
    for way in place.ways:
        order = next((move.order for move in way.trace.moves if move.order), None)
        if order is None:
            continue
        used[order] += 1
        ends.setdefault(order, _Sample())
        if way.trace.moves[-1].after:
            ends[order].add(min(way.trace.moves[-1].after.values()), way.family)
    for order in sorted(used, key=lambda order: (-used[order], order)):
        yield OrderUse(
            **place.keys,
            order=" > ".join(order),
            share=Number.of(wilson(used[order], used.total())),
            end_lowest=ends[order].mean((0.0, 1.0)),
        )


def _texts(way: _Way) -> Iterator[tuple[str, Scores]]:
    """Every text that the corrector had in hands, with its scores; the final answer comes last."""
    yield way.trace.start or "", way.trace.scores
    for move in way.trace.moves:
        if move.offered is not None:
            yield move.offered, move.offered_scores
        yield move.text, move.after


def _oracles(place: _Place) -> Iterator[Oracle]:
    """Only where all texts of an answer were scored by the inspectors that scored its start."""
    end, best, gap = _Sample(), _Sample(), _Sample()
    for way in place.ways:
        names = set(way.trace.scores)
        values = [min(s[n] for n in names) for _, s in _texts(way) if names and names <= s.keys()]
        if way.failed or not values or not names <= way.trace.moves[-1].after.keys():
            continue
        end.add(values[-1], way.family)
        best.add(max(values), way.family)
        gap.add(max(values) - values[-1], way.family)
    rights = _rights(place)
    if end.values or rights["end_right"] is not None:
        yield Oracle(
            **place.keys,
            end_lowest=end.mean((0.0, 1.0)),
            best_lowest=best.mean((0.0, 1.0)),
            gap=gap.mean((0.0, 1.0)),
            **rights,
        )


def _rights(place: _Place) -> dict[str, Number | None]:
    """By the references. A failed answer is not right."""
    from aligner_bench.texts.match import matches

    end, best, gap = _Sample(), _Sample(), _Sample()
    for way in place.ways:
        if way.references:
            final = float(not way.failed and matches(way.text, way.references))
            texts = {text for text, _ in _texts(way)}
            any_right = float(bool(final) or any(matches(text, way.references) for text in texts))
            for sample, value in ((end, final), (best, any_right), (gap, any_right - final)):
                sample.add(value, way.family)
    names = ("end_right", "best_right", "right_gap")
    known = bool(end.values)
    return {
        name: sample.mean((0.0, 1.0)) if known else None
        for name, sample in zip(names, (end, best, gap), strict=True)
    }


def _examples(place: _Place) -> list[Example]:
    """At most five answers, chosen by the change of their lowest score."""
    gains = {}
    for way in place.ways:
        end = way.trace.moves[-1].after
        names = _shared(way.trace.scores, end)
        if names and not way.failed:
            gains[way.prompt_id] = min(end[n] for n in names) - min(way.trace.scores[n] for n in names)
    if not gains:
        return []
    ways = {way.prompt_id: way for way in place.ways if way.prompt_id in gains}
    ranked = sorted(gains, key=lambda key: (-gains[key], key))
    busiest = min(ways, key=lambda key: (-sum(m.action in REWRITES for m in ways[key].trace.moves), key))
    chosen: dict[str, str] = {}
    for key, reason in (
        (ranked[0], "the largest rise"),
        (ranked[len(ranked) // 2], "the middle one"),
        (ranked[-1], "the largest fall" if gains[ranked[-1]] < 0 else "the least rise"),
        (busiest, "the most rewrites"),
    ):
        chosen.setdefault(key, reason)
    return [_example(place, ways[key], reason) for key, reason in chosen.items()]


def _example(place: _Place, way: _Way, reason: str) -> Example:
    points = [Point(actor="upstream", action="start", scores=dict(way.trace.scores))]
    points += [Point(actor=m.actor, action=m.action, scores=dict(m.after)) for m in _line(way)]
    bounds = {m.inspector: m.threshold for m in way.trace.moves if m.inspector and m.threshold is not None}
    return Example(**place.keys, prompt_id=way.prompt_id, reason=reason, thresholds=bounds, points=points)
