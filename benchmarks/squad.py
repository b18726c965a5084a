"""The squad in waves through the ledger, against a plain implementation of the published algorithm.

Three aligners (SmolLM2 with three templates) and three MiniLM inspectors correct the same answers in the
published order: batches of 64 rows sorted by text, members by ascending mean of the batch's scores,
threshold 0.5, each member once. The plain implementation scores every row by every inspector at the start
and before and after each step (Ngweta et al. 2024, section 4.1), and corrects batch by batch, with
transformers' ``generate`` and sequence classifiers: one padded batch of the answers below the threshold.
All in float32 with the same weights; every round of ours begins with an empty ledger. The answers are the
packaged pairs, good and bad ones mixed. Outcomes must be equal.

A third side, measured once, separates the engine's share from that of fewer requests: the plain steps over
our own loaded engines.
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
    """Texts in the order of the rows, the number of calls, and the time."""

    texts: list[str]
    aligner_calls: int
    inspector_calls: int
    seconds: float


def answers(n: int) -> list[tuple[str, str]]:
    """Return (prompt, answer): a seeded mixture of the better and worse answers of the packaged pairs."""
    from aligner_bench.inspectors.base import PACKAGED, packaged_pairs

    pairs = [p for c in PACKAGED for s in ("train", "held_out") for p in packaged_pairs(c, s)]
    rows = sorted({(p.prompt, text) for p in pairs for text in (p.worse, p.better)})
    return random.Random(0).sample(rows, n)


def squad_spec() -> Any:
    """Return the squad as an experiment file would define it."""
    from aligner_bench.correctors.squad import SquadSpec

    members = {
        name: {
            "inspector": name,
            "aligner": {"kind": "aligner", "model": "smollm2", "template": f"prompted-{name}"},
        }
        for name in CRITERIA
    }
    settings = {"kind": "squad", "members": members, "threshold": THRESHOLD, "order": "batch"}
    return SquadSpec.model_validate(settings | {"batch_size": BATCH})


class Ours:
    """The package's squad; the models stay loaded from round to round."""

    def __init__(self, home: Path, rows: list[tuple[str, str]], new_tokens: int) -> None:
        from aligner_bench.core.types import Answer, Decoding
        from aligner_bench.correctors.answers import Item
        from aligner_bench.engines.base import model_spec
        from aligner_bench.inspectors.base import InspectorSpec

        self.home, self.squad, self.rounds = home, squad_spec(), 0
        self.models = {"smollm2": model_spec(engine="hf", model="smollm2-135m-instruct")}
        self.inspectors = {name: InspectorSpec(model=f"packaged:{name}") for name in CRITERIA}
        profile = Decoding(max_new_tokens=new_tokens)
        self.items = [
            Item(str(i), prompt, Answer(text, "ok", "stop"), profile) for i, (prompt, text) in enumerate(rows)
        ]
        self.residency: Any = None

    def __call__(self) -> Outcome:
        """Run one round with an empty ledger."""
        from aligner_bench.correctors.base import correct
        from aligner_bench.runner.workbench import Workbench
        from aligner_bench.store.ledger import Ledger

        self.rounds += 1
        with Ledger(self.home / f"{self.rounds}.sqlite") as book:
            bench = Workbench(self.models, self.inspectors, book)
            bench.residency = self.residency or bench.residency
            self.residency = bench.residency
            begin = time.perf_counter()
            done = correct(self.squad, self.items, bench)
            taken = time.perf_counter() - begin
        calls = sum(step.action == "correct" for answer in done for step in answer.trace)
        if calls < bench.computed["complete"]:
            raise SystemExit("an aligner was asked for more than the outcomes show")
        texts = [answer.text for answer in done]
        return Outcome(texts, bench.computed["complete"], bench.computed["score"], taken)

    def complete(self, requests: list[Any]) -> list[str]:
        """Return texts from the loaded engine, in one batch."""
        return [completion.text for completion in self.residency.named("smollm2").complete(requests)]

    def score(self, name: str, pairs: list[tuple[str, str]]) -> list[float]:
        """Return scores of one loaded inspector."""
        return [score.value for score in self.residency.named(name).score(pairs)]


class Transformers:
    """The same models in transformers, as a script would use them."""

    def __init__(self, ours: Ours) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

        from aligner_bench.engines.embedded import converted_smollm2
        from aligner_bench.inspectors.classifier import trained_folder

        folder = str(converted_smollm2())
        self._tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._inspectors = {}
        for name, spec in ours.inspectors.items():
            kept = str(trained_folder(spec))
            model = AutoModelForSequenceClassification.from_pretrained(kept, dtype=torch.float32).eval()
            self._inspectors[name] = (AutoTokenizer.from_pretrained(kept), model)

    def complete(self, requests: list[Any]) -> list[str]:
        """Return texts by ``generate``, in one padded batch, cut at the template's stop strings."""
        import torch

        from aligner_bench.engines.prompts import cut_at_stop

        turns = [[{"role": "user", "content": r.prefix + r.answer + r.suffix}] for r in requests]
        batch = self._tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        most = requests[0].decoding.max_new_tokens
        with torch.inference_mode():
            done = self._model.generate(**batch, max_new_tokens=most, do_sample=False)
        texts = self._tokenizer.batch_decode(done[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        return [cut_at_stop(text, r.decoding.stop)[0] for text, r in zip(texts, requests, strict=True)]

    def score(self, name: str, pairs: list[tuple[str, str]]) -> list[float]:
        """Return scores of one sequence classifier, in one padded batch."""
        import torch

        tokenizer, model = self._inspectors[name]
        prompts, texts = [prompt for prompt, _ in pairs], [text for _, text in pairs]
        batch = tokenizer(prompts, texts, padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            values: list[float] = model(**batch).logits.softmax(-1)[:, 1].tolist()
        return values


class Plain:
    """The published steps, batch after batch."""

    def __init__(self, ours: Ours, models: Ours | Transformers) -> None:
        self._squad, self._items, self._models = ours.squad, ours.items, models

    def __call__(self) -> Outcome:
        """Run one round."""
        self.texts = [item.answer.text for item in self._items]
        self.calls = {"complete": 0, "score": 0}
        begin = time.perf_counter()
        order = sorted(range(len(self._items)), key=lambda i: (self._items[i].prompt, self.texts[i]))
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
        pairs = [(self._items[i].prompt, self.texts[i]) for i in rows]
        self.calls["score"] += len(CRITERIA) * len(pairs)
        return {name: self._models.score(name, pairs) for name in CRITERIA}

    def _rewrite(self, name: str, rows: list[int]) -> None:
        from aligner_bench.correctors.aligner import aligner_request

        aligner = self._squad.members[name].aligner
        requests = [aligner_request(aligner, self._items[i], self.texts[i]) for i in rows]
        self.calls["complete"] += len(requests)
        for i, text in zip(rows, self._models.complete(requests) if requests else [], strict=True):
            self.texts[i] = text


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of both sides")


def measure(options: argparse.Namespace) -> tuple[list[Outcome], list[Outcome], Outcome]:
    """Measure rounds of both sides, alternating, and one of the plain steps over our engines."""
    rows = answers(QUICK_PROMPTS if options.quick else PROMPTS)
    mine: list[Outcome] = []
    theirs: list[Outcome] = []
    with tempfile.TemporaryDirectory() as home:
        ours = Ours(Path(home), rows, QUICK_NEW_TOKENS if options.quick else NEW_TOKENS)
        ours()  # loads the models
        plain = Plain(ours, Transformers(ours))
        plain._models.complete([_hello()])
        for turn in range(QUICK_ROUNDS if options.quick else options.rounds):
            for kept, way in ((mine, ours), (theirs, plain))[:: 1 if turn % 2 else -1]:
                kept.append(way())
            print(
                f"round {turn + 1}: ours {mine[-1].seconds:.1f} s, plain {theirs[-1].seconds:.1f} s",
                flush=True,
            )
        return mine, theirs, Plain(ours, ours)()


def _hello() -> Any:
    from aligner_bench.core.types import Decoding, Request

    return Request("Hello", decoding=Decoding(max_new_tokens=2))


def main() -> None:
    options = arguments(__doc__ or "", more)
    mine, theirs, same_engines = measure(options)
    import torch  # not earlier: our engines' package must set how threads wait before torch is imported

    ours, plain = mine[0], theirs[0]
    unlike = sum(
        x != y for a, b in zip(mine, theirs, strict=True) for x, y in zip(a.texts, b.texts, strict=True)
    )
    same = unlike == 0 and same_engines.texts == ours.texts
    a, b = spread([one.seconds for one in mine]), spread([one.seconds for one in theirs])
    ratio = b["median"] / a["median"]
    rounds = [y.seconds / x.seconds for x, y in zip(mine, theirs, strict=True)]
    share = ours.inspector_calls / plain.inspector_calls
    spared = plain.aligner_calls >= ours.aligner_calls
    print(f"{len(ours.texts)} answers, {len(mine)} rounds, {torch.get_num_threads()} threads")
    print(f"{'':<20} {'seconds':>22} {'aligner calls':>14} {'inspector calls':>16}")
    once = spread([same_engines.seconds])
    for name, s, one in (("ours", a, ours), ("plain", b, plain), ("plain, our engines", once, same_engines)):
        times = f"{s['median']:.1f} ({s['min']:.1f} to {s['max']:.1f})"
        print(f"{name:<20} {times:>22} {one.aligner_calls:>14} {one.inspector_calls:>16}")
    print(f"speed {ratio:.2f} ({min(rounds):.2f} to {max(rounds):.2f}), goal {SPEED_GOAL}")
    print(f"inspector calls {share:.2f} of the plain ones, goal {CALLS_GOAL}; texts that differ: {unlike}")
    row = {
        "name": "squad",
        "ours": a["median"],
        "rival": b["median"],
        "unit": "s",
        "ratio": ratio,
        "ratio_range": [min(rounds), max(rounds)],
        "goal": SPEED_GOAL,
        "same_outcomes": same,
        "texts_that_differ": unlike,
        "ratio_over_the_same_engines": same_engines.seconds / a["median"],
        "inspector_calls": [ours.inspector_calls, plain.inspector_calls],
        "aligner_calls": [ours.aligner_calls, plain.aligner_calls],
        "ok": same and spared and share <= CALLS_GOAL and ratio >= SPEED_GOAL,
    }
    finish("squad", [row], options)


if __name__ == "__main__":
    main()
