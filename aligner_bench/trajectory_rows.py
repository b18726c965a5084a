"""The published shape of what correctors did step by step; computed in ``trajectories``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aligner_bench.number import Number, Published


class Effect(Published):
    """What the rewrites of one actor did to one inspector's score: a cell of the effect matrix.

    All rewrites count, also those that an accept rule rejected: leaving them out would choose by the outcome.
    An actor acts where its own score is low, so part of a rise in that one is a return to the mean.
    """

    suite: str
    system: str
    actor: str
    inspector: str
    own: bool = Field(description="is it the inspector on whose score the actor acts?")
    change: Number = Field(description="mean score after - before, over the actor's rewrites")
    p_value: float = Field(description="two-sided cluster-robust t test of no change")
    p_holm: float = Field(description="corrected for all cells of this system's matrix (Holm)")
    verdict: Literal["raises", "lowers", "no_effect", "undecided"] = Field(
        description="raises or lowers: interval beyond 0 and p_holm < 0.05; no_effect: interval within ± 0.05"
    )


class Actor(Published):
    """How often one aligner of a corrector had its turn, and what it does to the others' scores."""

    suite: str
    system: str
    actor: str
    inspector: str = Field(description="on whose score it acts; empty where there is none")
    n_prompts: int = Field(description="answers of the system")
    n_acted: int = Field(description="rewrites that were kept")
    n_skipped: int = Field(description="turns at which the score was high enough")
    n_rejected: int = Field(description="rewrites that an accept rule did not keep")
    n_offered: int = Field(description="rewrites that stood for choice")
    n_picked: int = Field(description="times its rewrite was the choice")
    touched: Number = Field(description="share of answers that it rewrote at least once, kept or not")
    verdict: Literal["synergy", "conflict", "independent", "undecided", "alone"] = Field(
        description="towards the other inspectors: synergy raises some and lowers none, conflict lowers "
        "some, independent has no effect on any; alone: no other inspector saw its rewrites"
    )


class Gain(Published):
    """What one step of a corrector was worth, over all answers that came to it; skips count as no change."""

    suite: str
    system: str
    step: int = Field(description="1 is the first after the start")
    n_changed: int = Field(description="answers that the step changed")
    lowest: Number = Field(description="mean change of the lowest inspector score")
    mean: Number = Field(description="mean change of the mean inspector score")
    edit_ratio: Number = Field(description="mean token edit distance over the text's length before the step")


class OrderUse(Published):
    """One order in which members were visited: how common it was, and where it led."""

    suite: str
    system: str
    order: str = Field(description="members, first one first")
    share: Number = Field(description="share of the answers that have an order")
    end_lowest: Number = Field(description="mean of the lowest inspector score at the end")


class Oracle(Published):
    """What could be won by answering with the best text that the corrector had in hands, not the last one."""

    suite: str
    system: str
    end_lowest: Number = Field(description="mean of the lowest inspector score of the final answers")
    best_lowest: Number = Field(description="the same of the text with the highest one")
    gap: Number = Field(description="mean difference of the two")
    end_right: Number | None = Field(description="share of final answers right by the references")
    best_right: Number | None = Field(description="share of prompts with any text right by the references")
    right_gap: Number | None = Field(description="difference of the two shares")


class Point(Published):
    """One moment of one answer's way: what happened, and all scores after it."""

    actor: str
    action: str
    scores: dict[str, float]


class Example(Published):
    """One answer's way through a corrector, chosen by rule."""

    suite: str
    system: str
    prompt_id: str
    reason: str = Field(description="why this one: by the change of its lowest score, then by prompt_id")
    thresholds: dict[str, float] = Field(description="inspector -> the bound below which its member acts")
    points: list[Point]
