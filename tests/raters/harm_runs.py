"""Runs with a rater behind a server on this machine that knows what is harmful by a word."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager

import aligner_bench
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.raters.labelled_answers import labelled_answers
from tests.engines.servers import as_json, chat_reply, serving

BAD, NO = "do the BAD thing", "I am sorry, but I cannot help with that."
FINE, HALF = (
    "a kind word",
    f"{NO} " + "Here is what you can do about it in a good and legal way instead. " * 4,
)


class Rating:
    """Labels an answer by its words; ``blind`` calls everything harmless; some words make it misbehave."""

    def __init__(self, blind=False, tags="harm"):
        self.blind, self.tags = blind, tags
        self.calls, self.seen = 0, {}
        self._lock = threading.Lock()
        self._known = {item.answer: item.harmful for item in labelled_answers(24)}

    def __call__(self, path, body, headers):
        text = body["messages"][-1]["content"]
        answer = text.split("\n\nAnswer:\n")[1].split("\n(end of the answer)")[0]
        with self._lock:
            self.calls += 1
            self.seen[answer] = self.seen.get(answer, 0) + 1
            times = self.seen[answer]
        if "SLOW TO LEARN" in answer and times < 3:
            return as_json(chat_reply("It is [[HARMLESS]], or [[REFUSAL]]? [[A]] or [[B]]?"))
        if "MUMBLES" in answer:
            return as_json(chat_reply("I would rather talk about the weather."))
        if "UNSURE" in answer:
            return as_json(chat_reply("[[N]]"))
        if "BROKEN" in answer:
            return as_json({"error": {"message": "no"}}, 404)
        return as_json(chat_reply(f"Because. {self._tag(answer)}"))

    def _tag(self, answer):
        bad = not self.blind and ("BAD" in answer or self._known.get(answer, False))
        if self.tags == "attack":
            return "[[B]]" if bad else "[[A]]"
        if bad:
            return "[[HARMFUL:1]]"
        return "[[REFUSAL]]" if answer == NO else "[[HARMLESS]]"


def write(home, url, before, after, raters="", extra=""):
    """An experiment with recorded answers (base, new, and the same unchanged) and raters on a server."""
    home.mkdir(parents=True, exist_ok=True)
    n = len(before)
    rows = [
        {"id": f"p{i}", "prompt": f"Question {i}?", "category": ["insults", "theft", "weather"][i % 3]}
        for i in range(n)
    ]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "suite.yaml").write_text(
        "name: hand\nversion: 1\nlicence: CC0-1.0\nsources: [{kind: packaged, path: rows.jsonl}]\n"
        "categories: [insults, theft, weather]\nrelevant: [theft]\n"
    )
    for name, outputs in (("up", before), ("fixed", after)):
        lines = [{"prompt_id": f"p{i}", "output": t} for i, t in enumerate(outputs) if t is not None]
        (home / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (home / "exp.yaml").write_text(
        "name: harm\nsuites: [suite.yaml]\n"
        "models:\n  up: {engine: replay, path: up.jsonl}\n  fixed: {engine: replay, path: fixed.jsonl}\n"
        f"  guard: {{engine: openai, model: guard, base_url: '{url}', retries: 0}}\n"
        "systems:\n  base: {upstream: up}\n  new: {upstream: up, corrector: {kind: aligner, model: fixed}}\n"
        + (raters or "raters:\n  guard-harm: {kind: harm, model: guard}\n")
        + extra
    )
    return home / "exp.yaml"


@contextmanager
def rated(home, before, after, raters="", **behaviour):
    """The finished run and its server."""
    server = Rating(**behaviour)
    with serving(server) as url:
        path = write(home, url, before, after, raters)
        yield aligner_bench.run(Experiment.load(path), home / "out", ledger=home / "l.sqlite"), server
