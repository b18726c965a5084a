"""The schema of a tax report."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aligner_bench.results.number import Number, Published

Outcome = Literal["pass", "fail", "inconclusive"]


class TaxSample(Published):
    """One question of a task: its score from the upstream alone and from the system."""

    task: str
    metric: str
    system: str
    doc_id: str
    family: str | None = Field(None, description="prompt family, for suites with families")
    without: float
    with_: float = Field(alias="with")


class TaxTask(Published):
    """Identity of a task: equal values mean the same questions and the same targets."""

    task: str
    version: str = Field(description="version of the suite or of lm-eval's task")
    content_hash: str = Field(description="SHA-256 of each question's number, prompt and target")


class TaxRow(Published):
    """One metric of one task for one system, over the same questions with and without its corrector."""

    task: str
    metric: str
    system: str
    n: int
    higher_is_better: bool = True
    without: float = Field(description="mean score of the upstream alone")
    with_: float = Field(alias="with", description="mean score of the system")
    difference: Number = Field(
        description="with - without, paired, signed so that more is better; one-sided 95 % bounds"
    )
    n_lost: int = Field(description="questions on which the score decreased")
    n_gained: int
    p_value: float = Field(description="exact McNemar test of lost against gained")
    outcome: Outcome | None = Field(description="against the margin: contract 11; None without a margin")
    n_to_decide: int | None
    sentence: str


class TaxReport(Published):
    """The results of all tasks. Contains no times."""

    schema_version: Literal[1] = 1
    experiment: str
    experiment_hash: str
    lm_eval: str = Field(description="lm-eval's version")
    margin: float | None = Field(description="largest accepted loss, as a fraction")
    tasks: list[TaxTask] = Field(default_factory=list)
    rows: list[TaxRow]
    samples: list[TaxSample]
    outcome: Outcome | None
