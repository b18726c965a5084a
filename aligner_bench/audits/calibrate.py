"""``judge calibrate`` and ``judge bridge``: compare a judge with human labels or with another judge."""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.preferences import combine
from aligner_bench.core.types import Pair
from aligner_bench.results.number import Number
from aligner_bench.store.tables import Row, group

if TYPE_CHECKING:
    from aligner_bench.core.types import Services
    from aligner_bench.judges.base import Judge
    from aligner_bench.runs import Run

Place = tuple[str, str, str, str]
"""Suite, candidate, baseline, prompt_id: the key of one preference."""
_SIDES = {
    "candidate": 1, "win": 1, "a": 1, "1": 1, "1.0": 1,
    "baseline": -1, "loss": -1, "b": -1, "0": -1, "0.0": -1, "-1": -1,
    "tie": 0, "draw": 0, "0.5": 0,
}  # fmt: skip
_NAMES = {1: "candidate", 0: "tie", -1: "baseline"}


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Calibration(_Row):
    """A judge's verdicts on one comparison versus human labels. A "win" is a win of the candidate."""

    suite: str
    judge: str
    candidate: str
    baseline: str
    n_labels: int = Field(description="prompts with a human label")
    n_both: int = Field(
        description="of these, prompts with a verdict; basis of all figures below except `corrected`"
    )
    n_raters: int
    human_alpha: Number | None = Field(
        description="Krippendorff's alpha among the human raters, if there are several"
    )
    agreement: Number = Field(description="share of prompts on which judge and human majority agree")
    kappa: Number
    sensitivity: Number = Field(description="share of the human-labelled wins that the judge calls wins")
    specificity: Number = Field(description="share of the other prompts that the judge does not call wins")
    observed: Number = Field(description="share of wins by the judge, over all of its verdicts (strict_all)")
    corrected: Number = Field(
        description="`observed` corrected for the judge's errors, with sampling and calibration uncertainty"
    )
    table: dict[str, dict[str, int]] = Field(description="judge's side -> human side -> prompts")


class Bridge(_Row):
    """Two judges on the same pairs. Shift: mean preference of b minus that of a."""

    judge_a: str
    judge_b: str
    identity_a: str
    identity_b: str
    n_sample: int
    n_both: int
    failures: dict[str, int] = Field(description="pairs without a verdict by either judge, by status")
    agreement: Number
    kappa: Number
    rate_a: Number
    rate_b: Number
    shift: Number
    table: dict[str, dict[str, int]] = Field(description="a's side -> b's side -> pairs")


def side(value: float) -> int:
    """Return 1 for the candidate, -1 for the baseline, 0 for a tie."""
    return (value > 0.5) - (value < 0.5)


def preferences(rows: Sequence[Row]) -> dict[Place, Any]:
    """Return the combined preferences of one judge's verdict rows."""
    found = group(rows, "suite", "candidate", "baseline", "prompt_id")
    return {(key[0], key[1], key[2], key[3]): combine(some) for key, some in found.items()}


def judge_rows(run: Run, judge: str | None) -> tuple[str, list[Row]]:
    """Return the name and verdict rows of a judge; without a name, of the run's only judge."""
    names = [row["judge"] for row in run.rows("judges")]
    if judge is None:
        if len(names) != 1:
            raise UsageError(
                f"{run.path}: has {len(names)} judges ({', '.join(names)}); choose one with --judge"
            )
        judge = names[0]
    if judge not in names:
        raise UsageError(f"{run.path}: unknown judge {judge!r}; {nearest(judge, names)}")
    return judge, [row for row in run.rows("verdicts") if row["judge"] == judge]


def read_labels(path: Path) -> list[dict[str, str]]:
    """Read a CSV with ``prompt_id``, ``label`` and, optionally, suite, candidate, baseline, rater.

    ``label`` is candidate, baseline or tie (or win/loss, 1/0/0.5). UsageError names the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = [{k: (v or "").strip() for k, v in row.items() if isinstance(k, str)} for row in reader]
            columns = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: not a readable CSV file ({error})") from error
    for column in ("prompt_id", "label"):
        if column not in columns:
            raise UsageError(f"{path}: column {column!r} is missing; expected prompt_id and label")
    for number, row in enumerate(rows, 2):
        if row["label"].lower() not in _SIDES:
            raise UsageError(f"{path}:{number}: label {row['label']!r}; expected candidate, baseline or tie")
    return rows


def calibrate(run: Run, labels: Path, judge: str | None = None) -> list[Calibration]:
    """Return one calibration per comparison that has labels. UsageError if no label matches a verdict."""
    name, rows = judge_rows(run, judge)
    judged = preferences(rows)
    families = {(r["suite"], r["prompt_id"]): r["family"] or r["prompt_id"] for r in run.rows("prompts")}
    human = _placed(read_labels(labels), list(judged), labels)
    comparisons = dict.fromkeys(place[:3] for place in judged)
    found = [
        _calibration(name, key, judged, {p: v for p, v in human.items() if p[:3] == key}, families)
        for key in comparisons
        if any(place[:3] == key for place in human)
    ]
    if not found:
        raise UsageError(f"{labels}: no label belongs to a verdict of {name} in {run.path}")
    return found


def _placed(
    rows: Sequence[Mapping[str, str]], places: Sequence[Place], path: Path
) -> dict[Place, dict[str, int]]:
    """Return labels by place and rater. UsageError for a label that matches several comparisons."""
    by_prompt: dict[str, list[Place]] = {}
    for place in places:
        by_prompt.setdefault(place[3], []).append(place)
    found: dict[Place, dict[str, int]] = {}
    for number, row in enumerate(rows, 2):
        fitting = [
            place
            for place in by_prompt.get(row["prompt_id"], ())
            if all(
                row.get(column, "") in ("", value)
                for column, value in zip(("suite", "candidate", "baseline"), place, strict=False)
            )
        ]
        if len(fitting) > 1:
            raise UsageError(
                f"{path}:{number}: {row['prompt_id']!r} is in several comparisons; "
                "add the columns suite, candidate and baseline"
            )
        if fitting:
            found.setdefault(fitting[0], {})[row.get("rater", "")] = _SIDES[row["label"].lower()]
    return found


def _majority(votes: Sequence[int]) -> int:
    """Return the side with more votes; a tie if both have equally many."""
    total = sum(votes)
    return (total > 0) - (total < 0)


def _calibration(
    judge: str,
    key: tuple[str, str, str],
    judged: Mapping[Place, Any],
    human: Mapping[Place, Mapping[str, int]],
    families: Mapping[tuple[str, str], str],
) -> Calibration:
    from aligner_bench.stats.agreement import corrected_rate
    from aligner_bench.stats.intervals import wilson

    verdicts = {p: side(v.value) for p, v in judged.items() if p[:3] == key and v.value is not None}
    both = [place for place in human if place in verdicts]
    people = {place: _majority(list(human[place].values())) for place in both}
    wins = [verdicts[place] for place in both if people[place] == 1]
    others = [verdicts[place] for place in both if people[place] != 1]
    sensitivity = (sum(v == 1 for v in wins), len(wins))
    specificity = (sum(v != 1 for v in others), len(others))
    observed = (sum(v == 1 for v in verdicts.values()), len(verdicts))
    clusters = [families.get((place[0], place[3]), place[3]) for place in both]
    agreement, kappa, table = _compared([verdicts[p] for p in both], [people[p] for p in both], clusters)
    raters = sorted({rater for votes in human.values() for rater in votes})
    return Calibration(
        suite=key[0],
        judge=judge,
        candidate=key[1],
        baseline=key[2],
        n_labels=len(human),
        n_both=len(both),
        n_raters=len(raters),
        human_alpha=_alpha(human, raters) if len(raters) > 1 else None,
        agreement=agreement,
        kappa=kappa,
        sensitivity=Number.of(wilson(*sensitivity)),
        specificity=Number.of(wilson(*specificity)),
        observed=Number.of(wilson(*observed)),
        corrected=Number.of(corrected_rate(observed, sensitivity, specificity)),
        table=table,
    )


def _alpha(human: Mapping[Place, Mapping[str, int]], raters: Sequence[str]) -> Number:
    from aligner_bench.stats.agreement import krippendorff_alpha

    return Number.of(krippendorff_alpha([[votes.get(r) for votes in human.values()] for r in raters]))


def _compared(
    a: Sequence[int], b: Sequence[int], clusters: Sequence[str]
) -> tuple[Number, Number, dict[str, dict[str, int]]]:
    """Return agreement, kappa and the contingency table of two lists of sides."""
    from aligner_bench.stats.agreement import cohen_kappa
    from aligner_bench.stats.intervals import mean_t

    counts = Counter(zip(a, b, strict=True))
    table = {name: {other: counts[x, y] for y, other in _NAMES.items()} for x, name in _NAMES.items()}
    agree = mean_t([float(x == y) for x, y in zip(a, b, strict=True)], clusters)
    return Number.of(agree), Number.of(cohen_kappa(a, b, clusters)), table


def sampled(places: Sequence[Place], size: int | None, seed: int) -> list[Place]:
    """Return a fixed sample, determined by the set of places, size and seed."""
    ordered = sorted(places)
    return ordered if size is None or size >= len(ordered) else random.Random(seed).sample(ordered, size)


def rejudge(run: Run, places: Sequence[Place], judge: Judge, services: Services) -> dict[Place, Any]:
    """Return another judge's preferences on pairs of a run."""
    texts = {(r["suite"], r["system"], r["prompt_id"]): r["text"] for r in run.rows("responses")}
    prompts = {(r["suite"], r["prompt_id"]): r for r in run.rows("prompts")}
    pairs = [
        Pair(
            prompt_id,
            prompts[suite, prompt_id]["prompt"],
            texts[suite, candidate, prompt_id],
            texts[suite, baseline, prompt_id],
            tuple(prompts[suite, prompt_id]["references"] or ()),
        )
        for suite, candidate, baseline, prompt_id in places
    ]
    verdicts = judge.compare(pairs, services)
    return {place: combine([asdict(v) for v in one]) for place, one in zip(places, verdicts, strict=True)}


def bridge(
    names: tuple[str, str],
    identities: tuple[str, str],
    a: Mapping[Place, Any],
    b: Mapping[Place, Any],
    places: Sequence[Place],
    families: Mapping[tuple[str, str], str],
) -> Bridge:
    """Compute the agreement of two judges on ``places`` and the shift of the rate from a to b (paired, by
    family).
    """
    from aligner_bench.stats.intervals import mean_t

    both = [p for p in places if a[p].value is not None and b[p].value is not None]
    failed = [x.status for p in places for x in (a[p], b[p]) if x.value is None]
    clusters = [families.get((p[0], p[3]), p[3]) for p in both]
    first, second = [a[p].value for p in both], [b[p].value for p in both]
    agreement, kappa, table = _compared([side(v) for v in first], [side(v) for v in second], clusters)
    moved = [y - x for x, y in zip(first, second, strict=True)]
    return Bridge(
        judge_a=names[0],
        judge_b=names[1],
        identity_a=identities[0],
        identity_b=identities[1],
        n_sample=len(places),
        n_both=len(both),
        failures=dict(sorted(Counter(failed).items())),
        agreement=agreement,
        kappa=kappa,
        rate_a=Number.of(mean_t(first, clusters)),
        rate_b=Number.of(mean_t(second, clusters)),
        shift=Number.of(mean_t(moved, clusters, bounds=(-1.0, 1.0))),
        table=table,
    )
