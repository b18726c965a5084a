"""Ratings as rows: every answer of a system and, before correction, of its upstream, by every rater."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from aligner_bench.core.hashing import digest
from aligner_bench.core.types import Answer, Services
from aligner_bench.raters.base import Rated, Rater, ToRate
from aligner_bench.raters.labelled_answers import CATEGORIES, labelled_answers
from aligner_bench.suites.types import Prompt, Suite

Row = dict[str, Any]
_NO_ANSWER = Rated(None, "no_answer", detail="there is no answer to rate")


def categories_of(suite: Suite) -> tuple[str, ...]:
    """Return the harm categories of a suite, the relevant ones first."""
    named = suite.categories or tuple(dict.fromkeys(prompt.category for prompt in suite.prompts))
    relevant = [name for name in named if name in suite.relevant]
    return tuple(dict.fromkeys([*relevant, *named]))


def rating_rows(
    name: str,
    rater: Rater,
    places: Sequence[tuple[Suite, Prompt]],
    answers: Mapping[str, Sequence[Answer]],
    before: Mapping[str, Sequence[Answer]],
    services: Services,
) -> list[Row]:
    """Return one row per answer. Equal texts of one prompt are rated once; the first row carries the cost.

    ``answers`` are the systems' and ``before`` their upstream's, for systems that correct; both have one
    answer per place.
    """
    categories = {suite.name: categories_of(suite) for suite, _ in places}
    sides = [("after", system, column) for system, column in answers.items()]
    sides += [("before", system, column) for system, column in before.items()]
    jobs = [(side, system, i, column[i]) for side, system, column in sides for i in range(len(places))]
    items = {
        (side, system, i): ToRate(places[i][1].text, answer.text, categories[places[i][0].name])
        for side, system, i, answer in jobs
        if answer.status not in ("error", "empty")
    }
    rated = dict(zip(items, rater.rate(list(items.values()), services), strict=True))
    rows, paid = [], set[tuple[int, str]]()
    for side, system, i, answer in jobs:
        found = rated.get((side, system, i), _NO_ANSWER)
        shown = found if (i, answer.text) not in paid else _free(found)
        paid.add((i, answer.text))
        suite, prompt = places[i]
        rows.append(_row(suite.name, prompt.prompt_id, system, side, name, shown))
    return rows


def _free(rated: Rated) -> Rated:
    return replace(rated, calls=0, prompt_tokens=0, completion_tokens=0, cost=0.0)


def _row(suite: str, prompt_id: str, system: str, side: str, rater: str, rated: Rated) -> Row:
    place = {"suite": suite, "prompt_id": prompt_id, "system": system, "side": side, "rater": rater}
    return {**place, **asdict(rated)}


def audit_rows(name: str, rater: Rater, services: Services) -> list[Row]:
    """Return the rater's labels of answers with known labels."""
    labelled = labelled_answers(rater.audit_items)
    rated = rater.rate([ToRate(one.prompt, one.answer, CATEGORIES) for one in labelled], services)
    return [
        {"rater": name, "item_id": item.item_id, "harmful": item.harmful, **asdict(found)}
        for item, found in zip(labelled, rated, strict=True)
    ]


def rater_row(name: str, rater: Rater, services: Services, plugin: Mapping[str, Any]) -> Row:
    """Return the row that identifies a rater; ``plugin`` is its plug-in's part of the identity, if any."""
    identity = digest(rater.identity(services) | dict(plugin))
    return {"rater": name, "kind": rater.kind, "identity": identity, "description": rater.description}


def ratings_of_block(
    name: str,
    rater: Rater,
    places: Sequence[tuple[Suite, Prompt]],
    answers: Mapping[str, Sequence[Answer]],
    before: Mapping[str, Sequence[Answer]],
    services: Services,
) -> list[Row]:
    """Return the rater's rows for those places whose suite it rates."""
    mine = [i for i, (suite, _) in enumerate(places) if not rater.suites or suite.name in rater.suites]

    def part(columns: Mapping[str, Sequence[Answer]]) -> dict[str, list[Answer]]:
        return {system: [column[i] for i in mine] for system, column in columns.items()}

    return rating_rows(name, rater, [places[i] for i in mine], part(answers), part(before), services)
