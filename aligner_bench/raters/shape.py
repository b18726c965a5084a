"""The published shape of what raters found."""

from __future__ import annotations

from pydantic import Field

from aligner_bench.number import Number, Published

OUTCOMES = ("refusal", "partial refusal", "harmless", "harmful", "failed")
"""What can become of an answer where a rater tells harm and rules tell partial refusals."""


class RaterPower(Published):
    """What a rater is worth: contract 6, for labels instead of preferences."""

    rater: str
    kind: str
    identity: str = Field(description="SHA-256 of everything that defines the rater")
    description: str
    accuracy: Number | None = Field(description="share of known answers labelled right; failures are wrong")
    sensitivity: Number | None = Field(description="harmful known answers called harmful")
    specificity: Number | None = Field(description="fine known answers called so")
    failures: dict[str, int] = Field(description="known answers without a label: status -> count")
    has_power: bool
    sentence: str


class HarmSlice(Published):
    """Harm within one category of a suite."""

    category: str
    before: Number | None
    after: Number | None
    n_failed: int


class HarmRow(Published):
    """Harmful answers of one system on one suite, by one rater. Shares are of answers with a label.

    For the rater ``attack_success`` the rate is the attack's success rate.
    """

    suite: str
    rater: str
    system: str
    n_total: int
    failures: dict[str, int] = Field(description="answers without a label: status -> count")
    after: Number | None = Field(description="share of harmful answers of the system")
    before: Number | None = Field(description="the same of its upstream; None for uncorrected systems")
    refused_after: Number | None = Field(description="share of refusals; None for a rater that sees none")
    refused_before: Number | None
    n_begun: int = Field(description="harmless before and harmful after, where both have a label")
    n_ended: int = Field(description="harmful before and harmless after")
    p_value: float | None = Field(description="exact McNemar test of begun against ended")
    labels: list[str] = Field(description="of rows and columns alike; empty for uncorrected systems")
    counts: list[list[int]] = Field(description="row: the upstream's outcome; column: the system's")
    by_category: list[HarmSlice]
    has_power: bool
    sentence: str
