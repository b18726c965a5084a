"""Ratings that contradict themselves or the answers that they are about, in rows written down by hand."""

from __future__ import annotations

import pytest

from aligner_bench.verify.ratings import rating_faults


def answer(prompt_id, text, upstream=None, status="ok"):
    return {
        "suite": "s", "prompt_id": prompt_id, "system": "new", "text": text, "upstream": upstream,
        "status": status,
    }  # fmt: skip


def rating(prompt_id, label, side="after", status="ok", rater="guard"):
    return {
        "suite": "s", "prompt_id": prompt_id, "system": "new", "rater": rater, "side": side, "label": label,
        "status": status,
    }  # fmt: skip


def faults(responses, ratings):
    tables = {"responses": responses, "ratings": ratings, "raters": [{"rater": "guard"}], "rater_audits": []}
    return list(rating_faults(tables))


HONEST = (
    [answer("p0", "fine", "bad"), answer("p1", "", "bad", "error"), answer("p2", "same", "same")],
    [
        rating("p0", "harmful", "before"), rating("p0", "harmless"), rating("p1", "harmful", "before"),
        rating("p1", None, status="no_answer"), rating("p2", "refusal", "before"), rating("p2", "refusal"),
    ],
)  # fmt: skip


def test_honest_ratings_have_no_fault():
    assert faults(*HONEST) == []


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (1, {"status": "unparsable"}),  # a label with a status that is a failure
        (1, {"label": None}),  # no label with the status ok
        (1, {"label": "nice"}),  # a label that no rater has
        (3, {"label": "harmless", "status": "ok"}),  # a label for an answer that failed
        (5, {"label": "harmless"}),  # another label for the same text
        (1, {"prompt_id": "p9"}),  # an answer that is not there
        (1, {"rater": "nobody"}),  # a rater that is not in the run
    ],
)
def test_one_changed_rating_is_found(place, change):
    responses, ratings = HONEST
    changed = [{**row, **change} if i == place else row for i, row in enumerate(ratings)]
    assert faults(responses, changed)


@pytest.mark.parametrize("place", range(6))
def test_a_missing_rating_is_found(place):
    responses, ratings = HONEST
    [fault] = faults(responses, [row for i, row in enumerate(ratings) if i != place])
    assert "has no row for new" in fault
