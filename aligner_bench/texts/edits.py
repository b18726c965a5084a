"""Edit distance between two texts, in tokens that do not depend on any model."""

from __future__ import annotations

import re
from typing import NamedTuple

TOKENISER = "words and marks"
"""Name of the tokeniser: a run of letters, digits and underscores is one token, any other non-space
character is one. Chinese and Japanese text is split into single characters."""
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]")


class Edit(NamedTuple):
    """Token counts of a rewrite. ``distance`` is Levenshtein's, ``kept`` the longest common subsequence."""

    before: int
    after: int
    distance: int
    kept: int

    @property
    def ratio(self) -> float:
        """Distance divided by the length of the original (Ji et al. 2024, J08); can exceed 1. An empty
        original counts as one token."""
        return self.distance / max(self.before, 1)


def tokens(text: str) -> list[str]:
    """Return the text's tokens (see ``TOKENISER``), not normalised."""
    return _TOKEN.findall(text)


def edit(old: str, new: str) -> Edit:
    """Return the token counts of rewriting ``old`` into ``new``."""
    from rapidfuzz.distance import LCSseq, Levenshtein

    numbers: dict[str, int] = {}
    left, right = ([numbers.setdefault(token, len(numbers)) for token in tokens(t)] for t in (old, new))
    if left == right:
        return Edit(len(left), len(right), 0, len(left))
    return Edit(len(left), len(right), Levenshtein.distance(left, right), int(LCSseq.similarity(left, right)))


def edit_ratio(old: str, new: str) -> float:
    """Return the token edit distance divided by the length of ``old`` in tokens."""
    return edit(old, new).ratio
