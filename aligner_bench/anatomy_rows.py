"""The published shape of what rewrites look like; computed in ``anatomy``."""

from __future__ import annotations

from pydantic import Field

from aligner_bench.number import Number, Published

ALL = "all"
"""The category of a row that is about all prompts."""


class Anatomy(Published):
    """How a corrector's answers differ from the upstream's. Lengths are in tokens: ``edits.TOKENISER``."""

    suite: str
    system: str
    category: str = Field(description='a category, or "all"')
    n: int = Field(description="answers with an upstream answer and no failure")
    n_left_out: int = Field(description="failed or missing answers")
    n_copied: int = Field(description="answers left exactly as they were")
    copied: Number = Field(description="n_copied / n")
    edit_ratio: Number = Field(
        description="mean token edit distance over the original's length; can exceed 1"
    )
    edit_median: float = Field(description="median edit ratio")
    kept: Number = Field(description="mean tokens an answer that both texts have, in order")
    removed: Number = Field(description="mean tokens an answer that only the original has")
    added: Number = Field(description="mean tokens an answer that only the rewrite has")
    length_before: Number = Field(description="mean tokens (Ji et al. 2024, Table 14)")
    length_after: Number
    length_ratio: Number = Field(description="ratio of the mean lengths, after to before")


class EditBin(Published):
    """A win rate among the answers that were rewritten to one extent."""

    suite: str
    judge: str
    system: str = Field(description="the candidate, a corrected system")
    baseline: str
    bin: str = Field(description="range of the edit ratio")
    rate: Number = Field(description="weighted rate; n is the prompts with a verdict")


class Crossing(Published):
    """Repair and damage in the eyes of one inspector: answers that cross its threshold."""

    suite: str
    system: str
    category: str = Field(description='a category, or "all"')
    inspector: str
    threshold: float
    repair: Number = Field(
        description="below the threshold at the start, not at the end / below at the start"
    )
    damage: Number = Field(description="below at the end, not at the start / not below at the start")


class Change(Published):
    """Repair and damage in the eyes of a judge: the corrected answer against the upstream's own."""

    suite: str
    judge: str
    system: str
    baseline: str = Field(description="the same upstream without a corrector")
    better: Number = Field(description="share of judged prompts")
    same: Number
    worse: Number
