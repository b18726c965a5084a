"""How far apart two texts are, in tokens that do not depend on any model."""

from __future__ import annotations

import re
from typing import NamedTuple

TOKENISER = "words and marks"
"""Runs of letters, digits and underscores are one token, every other character that is no space is one.
Scripts written without spaces (Chinese, Japanese) are cut into single letters."""
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]")


class Edit(NamedTuple):
    """Token counts of a rewrite. ``distance`` is Levenshtein's, ``kept`` the longest common subsequence."""

    before: int
    after: int
    distance: int
    kept: int

    @property
    def ratio(self) -> float:
        """Ji et al. 2024, J08: distance over the *original's* length; can exceed 1. An empty original
        counts as one token long."""
        return self.distance / max(self.before, 1)


def tokens(text: str) -> list[str]:
    """The text's tokens (see ``TOKENISER``), as they are written."""
    return _TOKEN.findall(text)


def edit(old: str, new: str) -> Edit:
    """The rewrite of ``old`` into ``new`` in tokens."""
    from rapidfuzz.distance import LCSseq, Levenshtein

    numbers: dict[str, int] = {}
    left, right = ([numbers.setdefault(token, len(numbers)) for token in tokens(t)] for t in (old, new))
    if left == right:
        return Edit(len(left), len(right), 0, len(left))
    return Edit(len(left), len(right), Levenshtein.distance(left, right), int(LCSseq.similarity(left, right)))


def edit_ratio(old: str, new: str) -> float:
    """Token edit distance over the length of ``old``."""
    return edit(old, new).ratio
