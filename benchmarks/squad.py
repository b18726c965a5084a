"""The squad in waves through the ledger, against the published algorithm written plainly.

Three aligners (SmolLM2 with three templates) and three MiniLM inspectors correct the same answers in the
published order: batches of 64 rows sorted by text, members by ascending mean of the batch's scores, threshold
0.5, each member once. The plain way scores every row by every inspector at the start and before and after
each step (Ngweta et al. 2024, section 4.1), and corrects batch by batch. Both use the same loaded engines in
float32, so that they differ only in what they ask for; every round of ours begins with an empty ledger. The
answers are the pairs that come with the package, good and bad ones mixed. Outcomes must be equal.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from _common import arguments, finish, spread

PROMPTS, QUICK_PROMPTS, ROUNDS, QUICK_ROUNDS = 256, 32, 5, 1
NEW_TOKENS, QUICK_NEW_TOKENS = 48, 16
CRITERIA = ("factuality", "ethical", "helpful")
THRESHOLD, BATCH = 0.5, 64
SPEED_GOAL, CALLS_GOAL = 1.5, 0.5


class Outcome(NamedTuple):
    """Texts in the order of the rows, what was asked for, and how long it took."""

    texts: list[str]
    aligner_calls: int
    inspector_calls: int
    seconds: float


def answers(n: int) -> list[tuple[str, str]]:
    """(prompt, answer): a seeded mixture of the better and the worse answers of the packaged pairs."""
    from aligner_bench.inspectors.base import PACKAGED, packaged_pairs

    pairs = [p for c in PACKAGED for s in ("train", "held_out") for p in packaged_pairs(c, s)]
    rows = sorted({(p.prompt, text) for p in pairs for text in (p.worse, p.better)})
    return random.Random(0).sample(rows, n)


def squad_spec() -> Any:
    """The squad as an experiment file would say it."""
    from aligner_bench.correctors.specs import SquadSpec

    members = {
        name: {
            "inspector": name,
            "aligner": {"kind": "aligner", "model": "smollm2", "template": f"prompted-{name}"},
        }
        for name in CRITERIA
    }
    settings = {"kind": "squad", "members": members, "threshold": THRESHOLD, "order": "batch"}
    return SquadSpec.model_validate(settings | {"batch_size": BATCH})


class Sides:
    """Both ways over the same loaded models."""

    def __init__(self, home: Path, rows: list[tuple[str, str]], new_tokens: int) -> None:
        from aligner_bench.correctors.item import Item
        from aligner_bench.engines.base import ModelSpec
        from aligner_bench.inspectors.base import InspectorSpec
        from aligner_bench.types import Answer, Decoding

        self.home, self.squad, self.rounds = home, squad_spec(), 0
        self.models = {"smollm2": ModelSpec(engine="hf", model="smollm2-135m-instruct")}
        self.inspectors = {name: InspectorSpec(model=f"packaged:{name}") for name in CRITERIA}
        profile = Decoding(max_new_tokens=new_tokens)
        self.items = [
            Item(str(i), prompt, Answer(text, "ok", "stop"), profile) for i, (prompt, text) in enumerate(rows)
        ]
        self.residency: Any = None

    def ours(self) -> Outcome:
        """The package's squad with an empty ledger."""
        from aligner_bench.correctors.correct import correct
        from aligner_bench.ledger import Ledger
        from aligner_bench.runner.workbench import Workbench

        self.rounds += 1
        with Ledger(self.home / f"{self.rounds}.sqlite") as book:
            bench = Workbench(self.models, self.inspectors, book)
            bench.residency = self.residency or bench.residency
            self.residency = bench.residency
            begin = time.perf_counter()
            done = correct(self.squad, self.items, bench)
            taken = time.perf_counter() - begin
        calls = sum(step.action == "correct" for answer in done for step in answer.trace)
        if calls < bench.done["complete"]:
            raise SystemExit("an aligner was asked for more than the outcomes show")
        texts = [answer.text for answer in done]
        return Outcome(texts, bench.done["complete"], bench.done["score"], taken)

    def plain(self) -> Outcome:
        """The published steps, batch after batch, one after the other."""
        self.texts = [item.answer.text for item in self.items]
        self.calls = {"complete": 0, "score": 0}
        begin = time.perf_counter()
        order = sorted(range(len(self.items)), key=lambda i: (self.items[i].prompt, self.texts[i]))
        for at in range(0, len(order), BATCH):
            self._correct_batch(order[at : at + BATCH])
        taken = time.perf_counter() - begin
        return Outcome(self.texts, self.calls["complete"], self.calls["score"], taken)

    def _correct_batch(self, rows: list[int]) -> None:
        means = {name: sum(values) / len(rows) for name, values in self._scores(rows).items()}
        for name in sorted(CRITERIA, key=lambda name: means[name]):
            before = self._scores(rows)
            low = [i for i, score in zip(rows, before[name], strict=True) if score < THRESHOLD]
            self._rewrite(name, low)
            self._scores(rows)

    def _scores(self, rows: list[int]) -> dict[str, list[float]]:
        pairs = [(self.items[i].prompt, self.texts[i]) for i in rows]
        self.calls["score"] += len(CRITERIA) * len(pairs)
        return {name: [score.value for score in self._held(name).score(pairs)] for name in CRITERIA}

    def _rewrite(self, name: str, rows: list[int]) -> None:
        from aligner_bench.correctors.correct import aligner_request

        aligner = self.squad.members[name].aligner
        requests = [aligner_request(aligner, self.items[i], self.texts[i]) for i in rows]
        self.calls["complete"] += len(requests)
        if requests:
            for i, completion in zip(rows, self._held("smollm2").complete(requests), strict=True):
                self.texts[i] = completion.text

    def _held(self, name: str) -> Any:
        """The loaded engine of a model, or the classifier of an inspector."""
        return self.residency.named(name)


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of both sides")


def main() -> None:
    options = arguments(__doc__ or "", more)
    rows = answers(QUICK_PROMPTS if options.quick else PROMPTS)
    with tempfile.TemporaryDirectory() as home:
        sides = Sides(Path(home), rows, QUICK_NEW_TOKENS if options.quick else NEW_TOKENS)
        sides.ours()  # loads the models
        mine, theirs = [], []
        for turn in range(QUICK_ROUNDS if options.quick else options.rounds):
            first, second = (sides.ours, sides.plain) if turn % 2 else (sides.plain, sides.ours)
            both = {way.__name__: way() for way in (first, second)}
            mine.append(both["ours"])
            theirs.append(both["plain"])
    import torch  # not earlier: our engines' package first says how its threads should wait

    same = all(a.texts == b.texts for a, b in zip(mine, theirs, strict=True))
    ours, plain = mine[0], theirs[0]
    a, b = spread([one.seconds for one in mine]), spread([one.seconds for one in theirs])
    ratio = b["median"] / a["median"]
    rounds = [y.seconds / x.seconds for x, y in zip(mine, theirs, strict=True)]
    share = ours.inspector_calls / plain.inspector_calls
    spared = plain.aligner_calls >= ours.aligner_calls
    print(f"{len(rows)} answers, {len(mine)} rounds, {torch.get_num_threads()} threads")
    print(f"{'':<10} {'seconds':>20} {'aligner calls':>14} {'inspector calls':>16}")
    for name, s, one in (("ours", a, ours), ("plain", b, plain)):
        times = f"{s['median']:.1f} ({s['min']:.1f} to {s['max']:.1f})"
        print(f"{name:<10} {times:>20} {one.aligner_calls:>14} {one.inspector_calls:>16}")
    print(f"speed {ratio:.2f} ({min(rounds):.2f} to {max(rounds):.2f}), goal {SPEED_GOAL}")
    print(f"inspector calls {share:.2f} of the plain ones, goal {CALLS_GOAL}; same outcomes: {same}")
    row = {
        "name": "squad",
        "ours": a["median"],
        "rival": b["median"],
        "unit": "s",
        "ratio": ratio,
        "ratio_range": [min(rounds), max(rounds)],
        "goal": SPEED_GOAL,
        "same_outcomes": same,
        "inspector_calls": [ours.inspector_calls, plain.inspector_calls],
        "aligner_calls": [ours.aligner_calls, plain.aligner_calls],
        "ok": same and spared and share <= CALLS_GOAL and ratio >= SPEED_GOAL,
    }
    finish("squad", [row], options)


if __name__ == "__main__":
    main()
