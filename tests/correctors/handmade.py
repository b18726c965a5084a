"""A run folder around answers that toy correctors made: rows, facts and manifest as any run has them."""

from __future__ import annotations

import json

from aligner_bench.results.facts import Facts
from aligner_bench.runs import Run, save
from aligner_bench.store.seal import suite_hashes


def prompt_rows(items, references=None):
    return [
        {
            "suite": item.suite,
            "prompt_id": item.prompt_id,
            "prompt": item.prompt,
            "category": item.category or "all",
            "criterion": "helpful",
            "family": None,
            "references": (references or {}).get(item.prompt_id, []),
            "history": "[]",
        }
        for item in items
    ]


def response_rows(system, kind, items, answers, upstream=True):
    return [
        {
            "suite": item.suite,
            "prompt_id": item.prompt_id,
            "system": system,
            "kind": kind,
            "upstream_model": "up",
            "upstream": item.answer.text if upstream else None,
            "correct": None,
            "upstream_correct": None,
            "trace": json.dumps([step.to_dict() for step in answer.trace]),
            **{
                name: getattr(answer, name)
                for name in ("text", "status", "finish_reason", "calls", "prompt_tokens", "completion_tokens")
            },
            **{name: getattr(answer, name) for name in ("cut_tokens", "seconds", "cost", "error")},
        }
        for item, answer in zip(items, answers, strict=True)
    ]


def verdict_rows(items, candidate, baseline, preferences, judge="facts"):
    return [
        {
            "suite": item.suite,
            "prompt_id": item.prompt_id,
            "judge": judge,
            "candidate": candidate,
            "baseline": baseline,
            "order": "none",
            "status": "tie" if p == 0.5 else "ok",
            "preference": p,
            "detail": "by hand",
        }
        for item, p in zip(items, preferences, strict=True)
    ]


def make_run(folder, prompts, responses, verdicts=(), audits=(), **judge):
    """``judge`` changes the row of the judge ``facts``, who needs no audit."""
    suites = [
        {
            "name": name,
            "version": "1",
            "licence": "CC0-1.0",
            "source": "by hand",
            "content_hash": content_hash,
            "n": sum(row["suite"] == name for row in prompts),
            "categories": sorted({row["category"] for row in prompts if row["suite"] == name}),
            "relevant": [],
        }
        for name, content_hash in suite_hashes(prompts).items()
    ]
    pairs = sorted({(row["candidate"], row["baseline"]) for row in verdicts})
    facts = Facts("by-hand", "0" * 64, "full", suites, pairs)
    facts_judge = {
        "judge": "facts",
        "kind": "by hand",
        "identity": "1" * 64,
        "description": "",
        "needs_audit": False,
        **judge,
    }
    tables = {
        "prompts": prompts,
        "responses": responses,
        "verdicts": list(verdicts),
        "audits": list(audits),
        "inspectors": [],
        "judges": [facts_judge] if verdicts else [],
    }
    save(folder, tables, {"facts": {name: getattr(facts, name) for name in Facts.__slots__}})
    return Run(folder)
