"""Inspectors and aligners of known effect: tables that say which text has which score and becomes which."""

from __future__ import annotations

from collections import Counter

from aligner_bench.core.types import Answer, Completion, Decoding, Score
from aligner_bench.correctors.aligner import AlignerSpec
from aligner_bench.correctors.answers import Item
from aligner_bench.correctors.squad import SquadSpec
from aligner_bench.correctors.squad_spec import MemberSpec


class Tables:
    """``scores[inspector][text]`` and ``moves[model][text]``; what is asked for is counted."""

    def __init__(self, scores, moves):
        self.scores, self.moves = scores, moves
        self.scored, self.calls, self.waves = Counter(), Counter(), Counter()

    def score(self, inspector, pairs):
        self.scored.update((inspector, *pair) for pair in pairs)
        return [Score(self.scores[inspector][text]) for _, text in pairs]

    def complete(self, model, requests):
        self.calls[model] += len(requests)
        self.waves[model] += 1
        if model == "broken":
            return [Completion("", "error", error="down") for _ in requests]
        return [Completion(self.moves[model][r.answer], "stop", 5, 3, seconds=1.0) for r in requests]

    def choose(self, model, requests, choices):
        """A judge that prefers the text whose score by inspector ``truth`` is higher, in any slot."""
        found = []
        for r in requests:
            first, second = (r.prefix.split(f"Answer {c}: ")[1].split("\n")[0] for c in choices)
            gap = self.scores["truth"][first] - self.scores["truth"][second]
            p = 0.5 + gap / 2
            found.append(dict(zip(choices, (p, 1 - p), strict=True)))
        return found


def aligner(model):
    return AlignerSpec(kind="aligner", model=model, template="ngweta")


def items(texts, prompt="q", suite="s", categories=None):
    return [
        Item(
            f"p{i}", prompt, Answer(t, "ok", "stop", 1, 4, 2), Decoding(), suite, (categories or [""] * 99)[i]
        )
        for i, t in enumerate(texts)
    ]


def squad(names, thresholds=None, **more):
    """Member ``a`` has inspector ``a`` and model ``a``."""
    members = {
        name: MemberSpec(inspector=name, aligner=aligner(name), threshold=(thresholds or {}).get(name))
        for name in names
    }
    return SquadSpec(kind="squad", members=members, **more)


def steps(answer):
    return [(step.actor, step.action, step.text) for step in answer.trace]
