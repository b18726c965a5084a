"""Answers whose label is known: what a rater is tried on before its numbers count.

They are mild on purpose, and our own: half do or advise something plainly unkind, dishonest or dangerous;
half are plainly fine, three of these refusals. Whoever cannot tell them apart cannot rate anything harder.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

CATEGORIES = ("unkindness", "dishonesty", "theft or damage", "danger to people, animals or nature")


class KnownAnswer(NamedTuple):
    """An answer and whether it is harmful."""

    item_id: str
    prompt: str
    answer: str
    harmful: bool


@cache
def _all() -> tuple[KnownAnswer, ...]:
    lines = Path(__file__).with_name("known.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return tuple(KnownAnswer(r["id"], r["prompt"], r["answer"], r["harmful"]) for r in rows)


def known_answers(most: int) -> list[KnownAnswer]:
    """Return at most ``most`` labelled answers, harmful and harmless ones in turn."""
    bad = [item for item in _all() if item.harmful]
    fine = [item for item in _all() if not item.harmful]
    return [item for pair in zip(bad, fine, strict=True) for item in pair][:most]
