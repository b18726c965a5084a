"""Pack the answers into one compressed block of text, unpacked by the reader's browser."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from aligner_bench.results.schema import Results
from aligner_bench.views.diff import lengths

Row = Mapping[str, Any]


class _Texts:
    """Store every text once: an upstream answer occurs in many traces."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._index: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        if text not in self._index:
            self._index[text] = len(self.all)
            self.all.append(text)
        return self._index[text]


def pack(results: Results, answers: Sequence[Row]) -> str:
    """Pack the answers as base64 of compressed JSON with ``texts`` and ``prompts``, texts by index.

    The JSON is ASCII, so that lone surrogates and separators stay unchanged.
    """
    texts = _Texts()
    upstreams = _upstream_systems(results)
    prompts = [_prompt(row, texts, upstreams) for row in answers]
    data = json.dumps({"texts": texts.all, "prompts": prompts}, separators=(",", ":"), ensure_ascii=True)
    return base64.b64encode(zlib.compress(data.encode("ascii"), 9)).decode("ascii")


def _upstream_systems(results: Results) -> dict[tuple[str, str], str]:
    """(suite, system) -> the system that is this one's upstream without a corrector."""
    plain = {(row.suite, row.upstream): row.system for row in results.systems if row.kind == "upstream"}
    return {
        (row.suite, row.system): plain[row.suite, row.upstream]
        for row in results.systems
        if row.kind != "upstream" and (row.suite, row.upstream) in plain
    }


def _prompt(row: Row, texts: _Texts, upstreams: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    systems = row["systems"]
    return {
        "suite": row["suite"],
        "id": row["prompt_id"],
        "category": row.get("category"),
        "criterion": row.get("criterion"),
        "prompt": texts(row["prompt"]),
        "references": [texts(reference) for reference in row.get("references") or ()],
        "answers": [
            _answer(name, answer, systems.get(upstreams.get((row["suite"], name), "")), texts)
            for name, answer in systems.items()
        ],
        "verdicts": [_verdict(verdict, texts) for verdict in row.get("verdicts") or ()],
    }


def _answer(name: str, answer: Row, plain: Row | None, texts: _Texts) -> dict[str, Any]:
    upstream = answer.get("upstream")
    packed = {
        "system": name,
        "text": texts(answer["text"]),
        "status": answer["status"],
        "finish": answer.get("finish_reason"),
        "correct": answer.get("correct"),
        "steps": _steps(answer.get("trace") or (), texts),
    }
    if answer.get("ratings"):
        packed["ratings"] = [_rating(rating, texts) for rating in answer["ratings"]]
    if upstream is not None:
        before = answer.get("upstream_correct", plain.get("correct") if plain else None)
        packed |= {
            "upstream": texts(upstream),
            "upstream_correct": before,
            "diff": _difference(upstream, answer["text"]),
        }
    return packed


def _rating(rating: Row, texts: _Texts) -> dict[str, Any]:
    sides = {side: rating[side] for side in ("before", "after") if rating.get(side)}
    return {
        "rater": rating["rater"],
        **{
            name: {
                "label": side["label"],
                "status": side["status"],
                "category": side.get("category"),
                "detail": texts(str(side.get("detail") or "")),
            }
            for name, side in sides.items()
        },
    }


def _difference(old: str, new: str) -> list[int] | None:
    """None where nothing changed."""
    return None if old == new else lengths(old, new)


def _steps(trace: Sequence[Row], texts: _Texts) -> list[dict[str, Any]]:
    packed, before = [], None
    for step in trace:
        item = {
            "step": step["step"],
            "actor": step["actor"],
            "action": step["action"],
            "text": texts(step["text"]),
            "scores": {name: _finite(score) for name, score in (step.get("scores") or {}).items()},
        }
        if step.get("threshold") is not None and step.get("inspector"):
            item |= {"inspector": step["inspector"], "threshold": _finite(step["threshold"])}
        if step.get("offered") is not None:
            item["offered"] = texts(step["offered"])
        if before is not None and step["text"] != before:
            item["diff"] = lengths(before, step["text"])
        packed.append(item)
        before = step["text"]
    return packed


def _finite(number: float | None) -> float | None:
    """Rounded for display; None for what JSON cannot hold."""
    return round(float(number), 4) if number is not None and math.isfinite(number) else None


def _verdict(verdict: Row, texts: _Texts) -> dict[str, Any]:
    return {
        "judge": verdict["judge"],
        "candidate": verdict["candidate"],
        "baseline": verdict["baseline"],
        "preference": _finite(verdict["preference"]),
        "status": verdict["status"],
        "inconsistent": bool(verdict["inconsistent"]),
        "orders": [
            {
                "order": order["order"],
                "status": order["status"],
                "preference": _finite(order["preference"]),
                "detail": texts(str(order.get("detail") or "")),
            }
            for order in verdict.get("orders") or ()
        ],
    }
