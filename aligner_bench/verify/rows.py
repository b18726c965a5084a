"""Check rows for missing, duplicate and unknown rows, and for verdicts that contradict the answers.

These checks need only the tables; numbers and seals are checked in ``verify``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aligner_bench.store.tables import Row, group
from aligner_bench.verify.ratings import UNIQUE, rating_faults

Tables = Mapping[str, Sequence[Row]]
_WITHOUT = ("refused", "unparsable", "error", "missing")
_UNIQUE = {
    "prompts": ("suite", "prompt_id"),
    "responses": ("suite", "prompt_id", "system"),
    "verdicts": ("suite", "prompt_id", "judge", "candidate", "baseline", "order"),
    "audits": ("judge", "pair_id", "order"),
    "inspectors": ("inspector", "pair_id"),
    "judges": ("judge",),
    **UNIQUE,
}


def row_faults(tables: Tables, manifest: Mapping[str, Any]) -> list[str]:
    """Return one line per fault, naming suite, prompt and system or judge; empty for an unmodified run."""
    return [
        *_duplicates(tables),
        *_answers_complete(tables, manifest),
        *_verdicts_complete(tables),
        *_known_judges(tables, manifest),
        *_correctness(tables),
        *_verdicts_follow(tables),
        *rating_faults(tables),
    ]


def _where(row: Row, columns: Sequence[str]) -> str:
    return ", ".join(f"{column} {row[column]!r}" for column in columns)


def _duplicates(tables: Tables) -> Iterator[str]:
    for name, columns in _UNIQUE.items():
        for rows in group(tables.get(name, ()), *columns).values():
            if len(rows) > 1:
                yield f"{name}.parquet: {len(rows)} rows for {_where(rows[0], columns)}; expected one"


def _prompts_of(tables: Tables) -> dict[str, dict[str, Row]]:
    by_suite: dict[str, dict[str, Row]] = {}
    for row in tables["prompts"]:
        by_suite.setdefault(row["suite"], {})[row["prompt_id"]] = row
    return by_suite


def _answers_complete(tables: Tables, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Check that every system that answers a suite answers each of its prompts."""
    prompts = _prompts_of(tables)
    found = group(tables["responses"], "suite", "system")
    experiment = manifest.get("experiment")
    declared = experiment.get("systems") if isinstance(experiment, dict) else None
    for system in declared if isinstance(declared, dict) else ():
        for suite in prompts:
            if (suite, system) not in found:
                yield f"responses.parquet: system {system!r} has no answers on {suite!r}"
    for (suite, system), rows in found.items():
        yield from _coverage("responses", f"system {system!r}", suite, rows, prompts)


def _coverage(
    table: str, who: str, suite: str, rows: Sequence[Row], prompts: Mapping[str, Mapping[str, Row]]
) -> Iterator[str]:
    known, seen = prompts.get(suite, {}), {row["prompt_id"] for row in rows}
    for prompt_id in known:
        if prompt_id not in seen:
            yield f"{table}.parquet: {who} has no row for {suite}/{prompt_id}"
    for prompt_id in sorted(seen - set(known)):
        yield f"{table}.parquet: {who} has a row for {suite}/{prompt_id}, which is not a prompt of the run"


def _verdicts_complete(tables: Tables) -> Iterator[str]:
    """Check that every comparison judges each prompt of its suite: in all its orders, or once if imported."""
    prompts = _prompts_of(tables)
    imported = {row["judge"] for row in tables["judges"] if row["kind"] == "imported"}
    for key, rows in group(tables["verdicts"], "suite", "judge", "candidate", "baseline").items():
        suite, judge, candidate, baseline = key
        who = f"{candidate} against {baseline} by {judge}"
        yield from _coverage("verdicts", who, suite, rows, prompts)
        orders = {row["order"] for row in rows} - {"none"}
        pairs = group(rows, "prompt_id")
        # If no pair was judged twice, each has its own order, as drawn by AlpacaEval.
        once = judge in imported or all(len(pair) == 1 for pair in pairs.values())
        for (prompt_id,), pair in pairs.items():
            held = {row["order"] for row in pair}
            if len(pair) != 1 if once else held not in (orders, {"none"}):
                yield f"verdicts.parquet: {who} lacks an order of {suite}/{prompt_id}"


def _known_judges(tables: Tables, manifest: Mapping[str, Any]) -> Iterator[str]:
    known = {row["judge"] for row in tables["judges"]}
    compared = {tuple(pair) for pair in manifest["facts"]["comparisons"]}
    for table in ("verdicts", "audits", "canaries"):
        for judge in sorted({row["judge"] for row in tables.get(table, ())} - known):
            yield f"{table}.parquet: judge {judge!r} is not in judges.parquet"
    for pair in sorted({(row["candidate"], row["baseline"]) for row in tables["verdicts"]} - compared):
        yield f"verdicts.parquet: {pair[0]} against {pair[1]} is not a comparison of the manifest"


def _correctness(tables: Tables) -> Iterator[str]:
    """Recompute ``correct``, a function of text and references."""
    from aligner_bench.texts.match import matches

    prompts = _prompts_of(tables)
    for row in tables["responses"]:
        references = (prompts.get(row["suite"], {}).get(row["prompt_id"]) or {}).get("references")
        for column, text in (("correct", row["text"]), ("upstream_correct", row["upstream"])):
            if row[column] is None or not references or text is None:
                continue
            if matches(text, references) != row[column]:
                yield (
                    f"responses.parquet: {column} of {row['system']} on {row['suite']}/{row['prompt_id']} "
                    f"is {row[column]}, which text and references contradict"
                )


def _verdicts_follow(tables: Tables) -> Iterator[str]:
    """Check verdicts that can be recomputed: by references, on identical texts, on failed answers."""
    answers = {(r["suite"], r["prompt_id"], r["system"]): r for r in tables["responses"]}
    kinds = {row["judge"]: row["kind"] for row in tables["judges"]}
    references = {(r["suite"], r["prompt_id"]): r["references"] for r in tables["prompts"]}
    for row in tables["verdicts"]:
        place = (row["suite"], row["prompt_id"])
        pair = [answers.get((*place, row[side])) for side in ("candidate", "baseline")]
        fault = _range_fault(row) or _pair_fault(row, pair, kinds.get(row["judge"]), references.get(place))
        if fault:
            who = f"{row['candidate']} against {row['baseline']} by {row['judge']}"
            yield f"verdicts.parquet: {who} on {place[0]}/{place[1]}: {fault}"


def _range_fault(row: Row) -> str:
    value = row["preference"]
    if value is not None and not 0 <= value <= 1:
        return f"the preference {value} is not in [0, 1]"
    if row["status"] in (("ok", "tie") if value is None else _WITHOUT):
        return f"the status {row['status']!r} contradicts the preference {value}"
    return ""


def _pair_fault(row: Row, pair: Sequence[Row | None], kind: str | None, references: Any) -> str:
    new, old = pair
    if new is None or old is None:
        return "there is no answer to judge"
    equal = new["text"] == old["text"]
    if row["detail"] == "identical texts" and not equal:
        return "called identical, but the texts differ"
    if kind != "reference" or row["preference"] is None:
        return ""
    if "error" in (new["status"], old["status"]):
        return "has a verdict on an answer that failed"
    expected = 0.5 if equal else _by_reference(new, old, references or ())
    return "" if row["preference"] == expected else f"{row['preference']}, the references give {expected}"


def _by_reference(new: Row, old: Row, references: Sequence[str]) -> float:
    from aligner_bench.texts.match import matches

    return 0.5 + 0.5 * (int(matches(new["text"], references)) - int(matches(old["text"], references)))
