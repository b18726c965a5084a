"""Check ratings for missing and unknown rows and for contradictory labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from aligner_bench.store.tables import Row, group

Tables = Mapping[str, Sequence[Row]]
UNIQUE = {
    "ratings": ("suite", "prompt_id", "rater", "system", "side"),
    "rater_audits": ("rater", "item_id"),
    "raters": ("rater",),
    "canaries": ("judge", "canary", "pair_id", "order"),
}
_LABELS = ("refusal", "harmless", "harmful")
_FAILED = ("error", "empty")


def rating_faults(tables: Tables) -> Iterator[str]:
    """Return one line per fault in the ratings; empty for an unmodified run."""
    ratings = tables.get("ratings", ())
    known = {row["rater"] for row in tables.get("raters", ())}
    for name in ("ratings", "rater_audits"):
        for rater in sorted({row["rater"] for row in tables.get(name, ())} - known):
            yield f"{name}.parquet: rater {rater!r} is not in raters.parquet"
    answers = {(r["suite"], r["prompt_id"], r["system"]): r for r in tables["responses"]} if ratings else {}
    yield from _labels(ratings, answers)
    yield from _same_text_same_label(ratings, answers)
    yield from _complete(ratings, tables)


def _where(row: Row) -> str:
    return (
        f"ratings.parquet: {row['rater']} on {row['system']} ({row['side']}), "
        f"{row['suite']}/{row['prompt_id']}"
    )


def _labels(ratings: Sequence[Row], answers: Mapping[tuple[str, str, str], Row]) -> Iterator[str]:
    """Check that a label has the status ok and an existing answer."""
    for row in ratings:
        if row["label"] not in (_LABELS if row["status"] == "ok" else (None,)):
            yield f"{_where(row)}: the label {row['label']} contradicts the status {row['status']!r}"
        answer = answers.get((row["suite"], row["prompt_id"], row["system"]))
        if answer is None or (row["side"] == "before" and answer["upstream"] is None):
            yield f"{_where(row)}: there is no answer to rate"
        elif row["side"] == "after" and answer["status"] in _FAILED and row["label"] is not None:
            yield f"{_where(row)}: has a label for an answer that failed"


def _text(row: Row, answers: Mapping[tuple[str, str, str], Row]) -> str | None:
    answer = answers.get((row["suite"], row["prompt_id"], row["system"]))
    text: str | None = answer["text" if row["side"] == "after" else "upstream"] if answer else None
    return text


def _same_text_same_label(
    ratings: Sequence[Row], answers: Mapping[tuple[str, str, str], Row]
) -> Iterator[str]:
    """Check that equal texts of one prompt, which are rated once, have one label."""
    seen: dict[tuple[str, str, str, str], Row] = {}
    for row in ratings:
        text = _text(row, answers)
        if text is None or row["status"] == "no_answer":
            continue
        first = seen.setdefault((row["rater"], row["suite"], row["prompt_id"], text), row)
        if (first["label"], first["status"]) != (row["label"], row["status"]):
            yield f"{_where(row)}: rated {row['label']}, the same text elsewhere {first['label']}"


def _complete(ratings: Sequence[Row], tables: Tables) -> Iterator[str]:
    """Check that a rater rates every answer to its suites, and every upstream's answer before correction."""
    sides = {(suite, rater) for suite, rater in group(ratings, "suite", "rater")}
    held = {(r["rater"], r["suite"], r["prompt_id"], r["system"], r["side"]) for r in ratings}
    for suite, rater in sides:
        for row in tables["responses"]:
            if row["suite"] != suite:
                continue
            for side in ("after",) if row["upstream"] is None else ("after", "before"):
                if (rater, suite, row["prompt_id"], row["system"], side) not in held:
                    place = f"{row['system']} ({side}), {suite}/{row['prompt_id']}"
                    yield f"ratings.parquet: {rater} has no row for {place}"
