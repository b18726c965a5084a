"""Compare two runs prompt by prompt: what changed, what may be chance, and which answers flipped.

Differences are RUN_B - RUN_A over the same prompts, with cluster-robust intervals. p values within a declared
family are Holm's; those by category are for exploration and are Benjamini and Hochberg's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.preferences import side
from aligner_bench.results.measures import METRICS
from aligner_bench.results.number import Number, Published
from aligner_bench.results.series import Key, Question, Series, observations, questions
from aligner_bench.runs import Run
from aligner_bench.store.tables import COLUMNS, Row

PRIMARY = ("win_rate", "accuracy", "harm_rate")
ALPHA = 0.05
FamilyOf = Literal["all", "suite", "judge", "metric", "each"]


class Difference(Published):
    """One metric of one system or comparison in both runs, over the prompts that have it in both."""

    metric: str
    suite: str
    judge: str = Field(description="empty for a number about one system alone")
    system: str
    baseline: str
    category: str | None
    before: float = Field(description="mean in RUN_A over the paired prompts")
    after: float = Field(description="mean in RUN_B over the same prompts")
    difference: Number = Field(description="after - before")
    n_unpaired: int = Field(description="prompts that have a value in one run only")
    p_value: float = Field(description="exact McNemar for yes or no, sign flips of whole families otherwise")
    p_adjusted: float
    adjustment: Literal["holm", "benjamini-hochberg", "none"]
    family: str = Field(description="the p values adjusted together")
    mde: float | None = Field(description="least true difference found with 80 % power at this n")
    conclusion: Literal["better", "worse", "no_difference_found", "same_answers", "no_power"]
    sentence: str


class Flip(Published):
    """A prompt whose value changed from one side of 0.5 to another."""

    metric: str
    suite: str
    prompt_id: str
    category: str
    judge: str
    system: str
    baseline: str
    before: float
    after: float
    prompt: str
    answer_before: str
    answer_after: str


class RunComparison(Published):
    """Everything that ``compare`` prints."""

    schema_version: int = 1
    run_a: str
    run_b: str
    level: float = 0.95
    rows: list[Difference]
    categories: list[Difference]
    flips: list[Flip]
    refused: list[str] = Field(description="what is not compared: different judges or different prompts")
    notes: list[str]


def compare(
    run_a: Run,
    run_b: Run,
    *,
    metrics: Sequence[str] = PRIMARY,
    family: FamilyOf = "all",
    renamed: Mapping[str, str] | None = None,
) -> RunComparison:
    """Compare RUN_B with RUN_A on all suites, judges and systems that both have.

    ``family`` chooses the p values that Holm's correction takes together. ``renamed`` maps systems of RUN_A
    to their names in RUN_B. UsageError for an unknown metric or system, and where nothing is shared.
    """
    for name in metrics:
        if name not in METRICS:
            raise UsageError(f"unknown metric {name!r}; {nearest(name, METRICS)}")
    a, b = _Side(run_a, renamed or {}), _Side(run_b, {})
    refused, shared = _shared(a, b, metrics)
    if not shared:
        why = "; ".join(refused) or "they share no suite with a system or comparison of the same name"
        raise UsageError(f"{run_a.path} and {run_b.path}: nothing can be compared: {why}")
    pairs = [_Pair(key, a, b) for key in shared]
    rows = _adjusted([pair.difference() for pair in pairs], family)
    return RunComparison(
        run_a=a.name,
        run_b=b.name,
        rows=rows,
        categories=_explored([part for pair in pairs for part in pair.by_category()]),
        flips=[flip for pair in pairs for flip in pair.flips()],
        refused=refused,
        notes=_notes(a, b, metrics),
    )


class _Side:
    """One run, read once."""

    def __init__(self, run: Run, renamed: Mapping[str, str]) -> None:
        tables = {name: run.rows(name) for name in COLUMNS}
        _rename(run, tables, renamed)
        results = run.results()
        self.name = f"{results.experiment} ({run.path.name})"
        self.suites = {suite.name: suite.content_hash for suite in results.suites}
        self.judges = {judge.judge: judge.identity for judge in results.judges}
        self.powerless = {judge.judge for judge in results.judges if not judge.has_power}
        self.judges |= {rater.rater: rater.identity for rater in results.raters}
        self.powerless |= {rater.rater for rater in results.raters if not rater.has_power}
        self.series: dict[Key, Series] = {series.key: series for series in observations(tables)}
        self.questions = questions(tables)
        self.prompts = {(row["suite"], row["prompt_id"]): row["prompt"] for row in tables["prompts"]}
        self.texts = {(r["suite"], r["system"], r["prompt_id"]): r["text"] for r in tables["responses"]}


def _rename(run: Run, tables: Mapping[str, list[Row]], renamed: Mapping[str, str]) -> None:
    held = {row["system"] for row in tables["responses"]}
    for name in renamed:
        if name not in held:
            raise UsageError(f"{run.path}: has no system {name!r}; {nearest(name, held)}")
    for table, columns in (("responses", ("system",)), ("verdicts", ("candidate", "baseline"))):
        for row in tables[table]:
            row.update({column: renamed.get(row[column], row[column]) for column in columns})


def _shared(a: _Side, b: _Side, metrics: Sequence[str]) -> tuple[list[str], list[Key]]:
    """What is not compared, in words, and the keys that both runs have by the same judge and prompts."""
    refused = []
    for suite, known in a.suites.items():
        if b.suites.get(suite, known) != known:
            refused.append(
                f"suite {suite!r} has different prompts in the two runs "
                f"(content hash {known[:12]} and {b.suites[suite][:12]})"
            )
    for judge, known in a.judges.items():
        if b.judges.get(judge, known) != known:
            refused.append(
                f"judge {judge!r} is a different judge in the two runs "
                f"(identity {known[:12]} and {b.judges[judge][:12]})"
            )
    keys = [key for key in a.series if key in b.series and key.metric in metrics and _same(key, a, b)]
    return refused, sorted(keys, key=lambda key: metrics.index(key.metric))


def _same(key: Key, a: _Side, b: _Side) -> bool:
    judged = not key.judge or a.judges[key.judge] == b.judges[key.judge]
    return judged and a.suites[key.suite] == b.suites[key.suite]


class _Pair:
    """One series in both runs."""

    def __init__(self, key: Key, a: _Side, b: _Side) -> None:
        self.key, self._a, self._b = key, a, b
        self._before, self._after = a.series[key].values, b.series[key].values
        self._questions = a.questions[key.suite]
        self._ids = [p for p in self._questions if p in self._before and p in self._after]
        systems = [key.system, key.baseline] if key.baseline else [key.system]
        self.same = all(self._text(a, s, p) == self._text(b, s, p) for s in systems for p in self._questions)

    def _text(self, side: _Side, system: str, prompt_id: str) -> str | None:
        return side.texts.get((self.key.suite, system, prompt_id))

    def difference(self, category: str | None = None) -> Difference:
        """The difference over all prompts, or over those of a category. Not yet adjusted."""

        def chosen(ids: Iterable[str]) -> list[str]:
            return [p for p in ids if category is None or self._questions[p].category == category]

        ids, held = (
            chosen(self._ids),
            chosen(p for p in self._questions if p in self._before or p in self._after),
        )
        before, after = [self._before[p] for p in ids], [self._after[p] for p in ids]
        estimate, p_value, least = _statistics(self.key, before, after, [self._questions[p] for p in ids])
        powerless = self.key.judge in self._a.powerless | self._b.powerless
        return Difference(
            **self.key._asdict(),
            category=category,
            before=sum(before) / len(before) if before else 0.0,
            after=sum(after) / len(after) if after else 0.0,
            difference=estimate,
            n_unpaired=len(held) - len(ids),
            p_value=p_value,
            p_adjusted=p_value,
            adjustment="none",
            family="",
            mde=least,
            conclusion="same_answers" if self.same else "no_power" if powerless else "no_difference_found",
            sentence="",
        )

    def by_category(self) -> list[Difference]:
        """One difference for each category, where there is more than one."""
        found = dict.fromkeys(self._questions[p].category for p in self._ids)
        return [self.difference(category) for category in found] if len(found) > 1 else []

    def flips(self) -> list[Flip]:
        """Prompts whose value crossed to the other side of 0.5, left or reached it; largest change first."""
        crossed = [p for p in self._ids if side(self._before[p]) != side(self._after[p])]
        crossed.sort(key=lambda p: -abs(self._after[p] - self._before[p]))
        return [self._flip(p) for p in crossed]

    def _flip(self, p: str) -> Flip:
        return Flip(
            **self.key._asdict(),
            prompt_id=p,
            category=self._questions[p].category,
            before=self._before[p],
            after=self._after[p],
            prompt=self._a.prompts[self.key.suite, p],
            answer_before=self._text(self._a, self.key.system, p) or "",
            answer_after=self._text(self._b, self.key.system, p) or "",
        )


def _statistics(
    key: Key, before: Sequence[float], after: Sequence[float], asked: Sequence[Question]
) -> tuple[Number, float, float | None]:
    """The difference with its interval, its p value, and the least difference that could be found."""
    import numpy as np

    from aligner_bench.stats.hypothesis_tests import mcnemar_exact, paired_difference, sign_flip_permutation
    from aligner_bench.stats.power import mde

    families = [question.family for question in asked]
    clusters = families if len(set(families)) < len(families) else None
    d = np.array(after, dtype=np.float64) - np.array(before, dtype=np.float64)
    if clusters is None and not METRICS[key.metric].graded:
        p_value = mcnemar_exact(int((d > 0).sum()), int((d < 0).sum()))
    else:
        p_value = sign_flip_permutation(d, clusters) if d.size else 1.0
    sd = float(d.std(ddof=1)) if d.size > 1 else 0.0
    return Number.of(paired_difference(after, before, clusters)), p_value, mde(d.size, sd) if sd else None


def _adjusted(rows: list[Difference], family: FamilyOf) -> list[Difference]:
    """Holm within each declared family; rows without a test (same answers, no power) are in none."""
    from aligner_bench.stats.hypothesis_tests import holm

    label: Callable[[Difference], str] = {
        "all": lambda row: "all",
        "suite": lambda row: f"suite {row.suite}",
        "judge": lambda row: f"judge {row.judge}" if row.judge else "references",
        "metric": lambda row: f"metric {row.metric}",
        "each": lambda row: str(Key.of(row)),
    }[family]
    asked = [row for row in rows if row.conclusion == "no_difference_found"]
    for name in dict.fromkeys(map(label, asked)):
        members = [row for row in asked if label(row) == name]
        for row, p in zip(members, holm([row.p_value for row in members]), strict=True):
            row.p_adjusted, row.adjustment, row.family = float(p), "holm", name
    return [_concluded(row) for row in rows]


def _explored(rows: list[Difference]) -> list[Difference]:
    """Benjamini and Hochberg over all categories of all series."""
    from aligner_bench.stats.hypothesis_tests import benjamini_hochberg

    asked = [row for row in rows if row.conclusion == "no_difference_found"]
    for row, p in zip(asked, benjamini_hochberg([row.p_value for row in asked]), strict=True):
        row.p_adjusted, row.adjustment, row.family = float(p), "benjamini-hochberg", "categories"
    return [_concluded(row) for row in rows]


def _concluded(row: Difference) -> Difference:
    if row.conclusion == "no_difference_found" and row.p_adjusted < ALPHA and row.difference.value:
        good = (row.difference.value > 0) == (METRICS[row.metric].better > 0)
        row.conclusion = "better" if good else "worse"
    row.sentence = _sentence(row)
    return row


def _sentence(row: Difference) -> str:
    number, key = row.difference, Key.of(row)
    who = f"{key}, {row.category}" if row.category else str(key)
    if number.value is None or number.lower is None or number.upper is None:
        return f"{who}: no prompt has a value in both runs."
    if row.conclusion == "same_answers":
        return f"{who}: every answer is the same in both runs."
    low, high = (f"{100 * end:+.1f}" for end in (number.lower, number.upper))
    found = f"{100 * number.value:+.1f} points (95 % {low} to {high}), n = {number.n}"
    if row.conclusion == "no_power":
        return f"{who}: no conclusion: the judge has no discriminating power ({found})."
    adjusted = {"holm": "Holm", "benjamini-hochberg": "Benjamini-Hochberg"}.get(row.adjustment, "unadjusted")
    p = "p < 0.001" if row.p_adjusted < 0.001 else f"p = {row.p_adjusted:.3f}"
    chance = f"{p} ({adjusted})"
    if row.conclusion != "no_difference_found":
        return f"{who}: {row.conclusion}: {found}, {chance}."
    least = f"; only a true difference of {100 * row.mde:.0f} points or more would show" if row.mde else ""
    return f"{who}: no difference found: {found}, {chance}{least}."


def _notes(a: _Side, b: _Side, metrics: Sequence[str]) -> list[str]:
    """Series that only one run has."""
    found = []
    for one, other, name in ((a, b, a.name), (b, a, b.name)):
        only = [key for key in one.series if key.metric in metrics and key not in other.series]
        found += [f"only in {name}: {key}" for key in only]
    return found
