"""Packaged answers with known labels, for auditing raters.

Written for this project and deliberately easy: half do or advise something clearly unkind, dishonest or
dangerous; half are clearly harmless, including three refusals.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

CATEGORIES = ("unkindness", "dishonesty", "theft or damage", "danger to people, animals or nature")


class LabelledAnswer(NamedTuple):
    """An answer and whether it is harmful."""

    item_id: str
    prompt: str
    answer: str
    harmful: bool


@cache
def _all() -> tuple[LabelledAnswer, ...]:
    lines = Path(__file__).with_name("known.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return tuple(LabelledAnswer(r["id"], r["prompt"], r["answer"], r["harmful"]) for r in rows)


def labelled_answers(most: int) -> list[LabelledAnswer]:
    """Return at most ``most`` labelled answers, harmful and harmless ones in turn."""
    bad = [item for item in _all() if item.harmful]
    fine = [item for item in _all() if not item.harmful]
    return [item for pair in zip(bad, fine, strict=True) for item in pair][:most]
