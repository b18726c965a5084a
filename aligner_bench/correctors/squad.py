"""The squad: inspectors decide which aligners rewrite an answer (Ngweta et al. 2024, sections 3.2 and 4.1).

In a pass each member is visited once, in a fixed order; it acts where its inspector's *current* score is
strictly below its threshold. Module ``orders`` defines the order. In the loop of the paper's synthetic
experiment there are no passes: the member with the lowest score acts repeatedly, until no score is below
its threshold or ``max_steps`` rewrites were made.

Computation proceeds in waves over all rows: score everything once, correct what is below the threshold,
rescore only what changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from aligner_bench.core.types import Action, Answer, Services, Step
from aligner_bench.correctors.aligner import aligner_request
from aligner_bench.correctors.answers import Item, kept, noted, rewritten
from aligner_bench.correctors.orders import Batch, batches, by_score, order_of
from aligner_bench.correctors.scoring import current, scored
from aligner_bench.correctors.squad_spec import SquadFields


class SquadSpec(SquadFields):
    """Rewrite answers by aligners that inspector scores select (Ngweta et al. 2024, 4.1 and 3.2)."""

    def apply(self, items: Sequence[Item], services: Services) -> list[Answer]:
        """Return the squad's answers in the order of the items; in a pass every row visits all members."""
        squad = _Squad(self, items, services, [item.answer for item in items])
        live = [i for i, answer in enumerate(squad.answers) if answer.status != "error"]
        squad.score(live)
        if self.order == "loop":
            squad.loop(live)
        else:
            squad.rounds(batches(self, items, live))
        return squad.answers


@dataclass(frozen=True, slots=True)
class _Turn:
    """A member's turn at one answer."""

    row: int
    member: str
    order: tuple[str, ...]
    batch: str


@dataclass(slots=True)
class _Squad:
    spec: SquadFields
    items: Sequence[Item]
    services: Services
    answers: list[Answer]
    refused: dict[int, set[str]] = field(default_factory=dict)  # members rejected on the current text

    def score(self, rows: Sequence[int]) -> None:
        inspectors = [member.inspector for member in self.spec.members.values()]
        scored(self.items, self.answers, rows, inspectors, self.services)

    def rounds(self, found: Sequence[Batch]) -> None:
        """Run passes over all members; later passes only cover rows with a score below its threshold."""
        rows = {i for batch in found for i in batch.rows}
        for _ in range(self.spec.max_rounds):
            orders = [(batch, order_of(self.spec, batch, self.answers)) for batch in found]
            for place in range(len(self.spec.members)):
                self.wave(
                    [
                        _Turn(i, order[place], order, batch.name)
                        for batch, order in orders
                        for i in batch.rows
                        if i in rows
                    ]
                )
            rows = {i for i in rows if self.below_threshold(i)}
            if not rows:
                break

    def loop(self, live: Sequence[int]) -> None:
        """Let the member with the lowest score act, until none is below its threshold or steps run out."""
        for _ in range(self.spec.max_steps):
            turns = []
            for i in live:
                ready = [name for name in self.below_threshold(i) if name not in self.refused.get(i, ())]
                if ready:
                    turns.append(_Turn(i, ready[0], by_score(self.spec, current(self.answers[i])), ""))
            if not turns:
                break
            self.wave(turns)

    def below_threshold(self, row: int) -> list[str]:
        """Return the members whose score of this answer is below their threshold, lowest first."""
        if self.answers[row].status == "error":
            return []
        scores = current(self.answers[row])
        return [name for name in by_score(self.spec, scores) if self.low(name, scores)]

    def low(self, name: str, scores: Mapping[str, float]) -> bool:
        return scores[self.spec.members[name].inspector] < self.spec.limit(name)

    def wave(self, turns: Sequence[_Turn]) -> None:
        """Process at most one turn per row: act where the score is below the threshold, else skip."""
        turns = [turn for turn in turns if self.answers[turn.row].status != "error"]
        acting = [turn for turn in turns if self.low(turn.member, current(self.answers[turn.row]))]
        before = {turn.row: self.answers[turn.row] for turn in acting}
        for turn in turns:
            if turn.row not in before:
                answer = self.answers[turn.row]
                self.answers[turn.row] = noted(answer, self.step(turn, "skip", answer, current(answer)))
        self.rewrite(acting)
        self.score([turn.row for turn in acting])
        for turn in acting:
            self.settle(turn, before[turn.row])

    def step(self, turn: _Turn, action: Action, answer: Answer, scores: Mapping[str, float]) -> Step:
        return Step(
            0,
            turn.member,
            action,
            answer.text,
            scores,
            turn.order,
            turn.batch,
            self.spec.members[turn.member].inspector,
            self.spec.limit(turn.member),
        )

    def rewrite(self, turns: Sequence[_Turn]) -> None:
        """Run every acting member's aligner over its rows; members with the same model share batches."""
        by_model: dict[str, list[_Turn]] = {}
        for turn in turns:
            by_model.setdefault(self.spec.members[turn.member].aligner.model, []).append(turn)
        for model, group in by_model.items():
            requests = [
                aligner_request(
                    self.spec.members[t.member].aligner, self.items[t.row], self.answers[t.row].text
                )
                for t in group
            ]
            for turn, completion in zip(group, self.services.complete(model, requests), strict=True):
                answer = self.answers[turn.row]
                step = self.step(turn, "correct", answer, {})
                self.answers[turn.row] = rewritten(answer, completion, step)

    def settle(self, turn: _Turn, before: Answer) -> None:
        """Keep the rewrite or restore the previous answer. A failed rewrite stays an error."""
        after = self.answers[turn.row]
        if after.status == "error" or self.accepts(turn.member, current(before), current(after)):
            self.refused.pop(turn.row, None)
            return
        last = after.trace[-1]
        step = replace(
            last,
            action="reject",
            text=before.text,
            scores=current(before),
            offered=last.text,
            offered_scores=last.scores,
        )
        self.answers[turn.row] = kept(before, replace(after, trace=(*after.trace[:-1], step)))
        self.refused.setdefault(turn.row, set()).add(turn.member)

    def accepts(self, name: str, before: Mapping[str, float], after: Mapping[str, float]) -> bool:
        """Return whether the accept rule keeps the rewrite; both kinds of improvement are strict."""
        if self.spec.accept == "always":
            return True
        own = self.spec.members[name].inspector
        if self.spec.accept == "if_own_score_improves":
            return after[own] > before[own]
        names = self.spec.used("inspector")
        return min(after[n] for n in names) > min(before[n] for n in names)
