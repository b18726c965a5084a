"""Made-up results and answers in the published shape, for tests and measurements of the report only.

Every figure here is drawn from a seeded generator; none was measured, and the report's title says so.
"""

# ruff: noqa: E501, SIM905

from __future__ import annotations

import random
from typing import Any

from aligner_bench.results.schema import Results

WORDS = """
    water boils lower pressure high altitude because the answer is usually found by looking at evidence first
    a careful reader would check each claim before repeating it and then say what remains uncertain about it
    people often ask for quick advice however good help begins with listening and with one honest sentence
""".split()
HARMS = (
    "animal_abuse", "child_abuse", "controversial_topics,politics", "discrimination,stereotype,injustice",
    "drug_abuse,weapons,banned_substance", "financial_crime,property_crime,theft",
    "hate_speech,offensive_language", "misinformation_regarding_ethics,laws_and_safety",
    "non_violent_unethical_behavior", "privacy_violation", "self_harm", "sexually_explicit,adult_content",
    "terrorism,organized_crime", "violence,aiding_and_abetting,incitement",
)  # fmt: skip
DEFINITIONS = {
    "strict": "wins among decided prompts; ties are left out",
    "strict_all": "wins among all prompts; a tie is not a win",
    "discrete": "wins plus half of the ties, among all prompts",
    "weighted": "mean of the graded preferences",
    "omega": "wins minus losses, among all prompts, from -1 to 1",
}
INSPECTORS = ("ethical", "factuality", "helpful")


def number(
    value: float | None, half: float, n: int, method: str = "wilson", low: float = 0.0
) -> dict[str, Any]:
    if value is None:
        return {"value": None, "lower": None, "upper": None, "n": n, "method": method}
    return {
        "value": value,
        "lower": max(value - half, low),
        "upper": min(value + half, 1.0),
        "n": n,
        "method": method,
    }


def rates(rng: random.Random, wins: int, draws: int, losses: int) -> dict[str, Any]:
    n, decided = wins + draws + losses, wins + losses
    half = 0.98 / max(n, 1) ** 0.5
    omega = (wins - losses) / n if n else None
    return {
        "strict": number(wins / decided if decided else None, 0.98 / max(decided, 1) ** 0.5, decided),
        "strict_all": number(wins / n if n else None, half, n),
        "discrete": number((wins + draws / 2) / n if n else None, half, n, "t"),
        "weighted": number((wins + draws / 2) / n + rng.uniform(-0.02, 0.02) if n else None, half, n, "t"),
        "omega": number(omega, 2 * half, n, "t", low=-1.0),
    }


def tally(rng: random.Random, n: int, skill: float, identical: bool) -> dict[str, Any]:
    failed = rng.random() < 0.3
    draws = n - failed if identical else int((n - failed) * rng.uniform(0.1, 0.25))
    wins = round((n - failed - draws) * min(max(rng.gauss(skill, 0.06), 0), 1))
    return {
        "n_total": n,
        "n_wins": wins,
        "n_draws": draws,
        "n_wins_base": n - failed - draws - wins,
        "n_failed": int(failed),
        "failures": {"unparsable": 1} if failed else {},
        "n_inconsistent": 0 if identical else n // 11,
        "n_identical": draws if identical else draws // 2,
    }


def comparison(
    rng: random.Random,
    suite: dict[str, Any],
    judge: str,
    system: str,
    baseline: str,
    skill: float,
    power: bool,
) -> dict[str, Any]:
    identical = system == "identity"
    per = suite["n"] // len(suite["categories"])
    slices = []
    for category in suite["categories"]:
        counts = tally(rng, per, skill, identical)
        numbers = rates(rng, counts["n_wins"], counts["n_draws"], counts["n_wins_base"])
        slices.append({"category": category, "rates": numbers, **counts})
    whole = {k: sum(s[k] for s in slices) for k in slices[0] if k.startswith("n_")}
    whole["failures"] = {"unparsable": whole["n_failed"]} if whole["n_failed"] else {}
    all_rates = rates(rng, whole["n_wins"], whole["n_draws"], whole["n_wins_base"])
    rate = all_rates["discrete"]
    conclusion = (
        "no_power" if not power else "same" if identical else "better" if rate["lower"] > 0.5
        else "worse" if rate["upper"] < 0.5 else "undecided"
    )  # fmt: skip
    return {
        "suite": suite["name"], "judge": judge, "system": system, "baseline": baseline,
        "win_rate": 100 * all_rates["weighted"]["value"], "standard_error": 2.1,
        "discrete_win_rate": 100 * rate["value"], "avg_length": 412, "avg_length_base": 388, "orders": 2,
        "rates": all_rates, "p_value": None if identical else rng.choice([0.0004, 0.031, 0.412]),
        "mde": 0.091, "n_to_decide": 412 if conclusion == "undecided" else None,
        "has_power": power, "conclusion": conclusion,
        "sentence": f"{system} against {baseline}: {100 * rate['value']:.1f} % (95 % "
        f"{100 * rate['lower']:.1f} to {100 * rate['upper']:.1f}), n = {whole['n_total']}, {whole['n_draws']} ties",
        "by_category": slices, **whole,
    }  # fmt: skip


def system_row(rng: random.Random, suite: dict[str, Any], name: str, kind: str) -> dict[str, Any]:
    n, plain = suite["n"], kind in ("upstream", "resample")
    wrong = n * 45 // 100
    right = n - wrong
    repaired, damaged = (0, 0) if kind == "identity" or plain else (wrong // 4, right // 9)
    return {
        "suite": suite["name"], "system": name, "kind": kind, "upstream": "smollm2", "n_total": n,
        "statuses": {"ok": n - 3, "empty": 1, "truncated": 2}, "avg_length": 400 + rng.random() * 90,
        "accuracy": number((right + repaired - damaged) / n, 0.1, n),
        "unchanged": None if plain else number(1.0 if kind == "identity" else 0.34, 0.08, n),
        "repair": None if plain else number(repaired / wrong, 0.11, wrong),
        "damage": None if plain else number(damaged / right, 0.07, right),
        "n_repaired": repaired, "n_damaged": damaged, "repair_p_value": None if plain else 0.21,
        "calls": n * (1 if plain else 3), "prompt_tokens": n * 210, "completion_tokens": n * 96, "n_cut": 0,
    }  # fmt: skip


def state(
    rng: random.Random, suite: str, system: str, inspector: str, moment: str, mean: float
) -> dict[str, Any]:
    scores = sorted(min(max(rng.gauss(mean, 0.2), 0.0), 0.9999) for _ in range(200))
    histogram = [sum(int(s * 20) == b for s in scores) for b in range(20)]
    return {
        "suite": suite, "system": system, "inspector": inspector, "state": moment,
        "mean": number(sum(scores) / 200, 0.03, 200, "t"),
        "quantiles": [scores[i] for i in (10, 50, 100, 150, 190)], "histogram": histogram,
    }  # fmt: skip


def judge(name: str, kind: str, accuracy: float, first: float, power: bool) -> dict[str, Any]:
    word = (
        "tells good answers from bad ones"
        if power
        else "has no discriminating power: its win rates are not ranked"
    )
    return {
        "judge": name, "kind": kind, "identity": f"{name:0<64}"[:64].encode().hex()[:64],
        "description": f"{kind} judge, made up for this page", "accuracy": number(accuracy, 0.06, 200),
        "consistency": number(0.02 if first > 0.9 else 0.86, 0.02, 200), "first_slot": number(first, 0.01, 400),
        "has_power": power, "sentence": f"{name} {word}",
    }  # fmt: skip


SYSTEMS = {
    "base": ("upstream", 0.5), "identity": ("identity", 0.5), "resample": ("resample", 0.5),
    "prompted": ("aligner", 0.44), "squad": ("squad", 0.66), "best-of-4": ("best_of_n", 0.58),
}  # fmt: skip


def make_results(
    suites: dict[str, tuple[int, tuple[str, ...]]], judges: dict[str, bool], systems: tuple[str, ...],
    baselines: tuple[str, ...] = ("base",), seed: int = 7,
) -> Results:  # fmt: skip
    """Results of the given suites (name -> prompts, categories), judges (name -> power) and systems."""
    rng = random.Random(seed)
    infos = [
        {
            "name": name, "version": "1.0", "licence": "Apache-2.0", "source": "made up", "content_hash": "0" * 64,
            "n": n, "categories": list(categories), "relevant": list(categories[1:4]) if len(categories) > 4 else [],
        }
        for name, (n, categories) in suites.items()
    ]  # fmt: skip
    rows = [
        comparison(rng, info, name, system, baseline, SYSTEMS[system][1], power)
        for info in infos for name, power in judges.items() for baseline in baselines for system in systems
        if system != baseline
    ]  # fmt: skip
    states = [
        state(rng, info["name"], system, inspector, moment, 0.45 + 0.05 * k + 0.12 * step)
        for info in infos for system in systems if SYSTEMS[system][0] in ("aligner", "squad")
        for k, inspector in enumerate(INSPECTORS) for step, moment in enumerate(("start", "after_first", "end"))
    ]  # fmt: skip
    return Results.model_validate({
        "experiment": "made-up test data", "experiment_hash": "f" * 64, "scale": "full", "suites": infos,
        "judges": [judge(n, "reference" if p else "logprob", 0.83 if p else 0.5, 0.52 if p else 1.0, p)
                   for n, p in judges.items()],
        "inspectors": [
            {"inspector": i, "identity": "a" * 64, "accuracy": number(0.8, 0.08, 60), "auc": 0.87,
             "auc_length_matched": 0.84, "n_pairs": 60, "n_length_matched": 31} for i in INSPECTORS],
        "systems": [system_row(rng, info, s, SYSTEMS[s][0]) for info in infos for s in systems],
        "rows": rows, "trajectories": states,
        "headline": ["squad beats base by 12.3 points (95 % 8.9 to 15.6), n = 700, 41 ties.",
                     "Whether prompted differs from base cannot be said from these prompts; 412 would decide."],
        "warnings": ["Judge one-letter chose the first slot in 200 of 200 cases: no discriminating power.",
                     "3 answers hit their token limit and are counted as truncated."],
        "definitions": DEFINITIONS,
    })  # fmt: skip


def sentence(rng: random.Random, n: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(n)).capitalize() + "."


def rewritten(rng: random.Random, text: str) -> str:
    words = text.split()
    for _ in range(max(1, len(words) // 8)):
        words[rng.randrange(len(words))] = rng.choice(WORDS)
    return " ".join(words) + " " + sentence(rng, 6)


def system_answer(rng: random.Random, name: str, upstream: str, right: bool) -> dict[str, Any]:
    kind = SYSTEMS[name][0]
    if kind in ("upstream", "resample"):
        text = upstream if kind == "upstream" else sentence(rng, 60)
        return {
            "text": text,
            "upstream": None,
            "status": "ok",
            "finish_reason": "stop",
            "correct": right,
            "trace": [],
        }
    changed = kind != "identity" and rng.random() < 0.7
    text = rewritten(rng, upstream) if changed else upstream
    correct = right if not changed else rng.random() < 0.6
    return {
        "text": text, "upstream": upstream, "status": "ok", "finish_reason": "stop", "correct": correct,
        "trace": trace(rng, upstream, text) if kind == "squad" else [],
    }  # fmt: skip


def trace(rng: random.Random, upstream: str, text: str) -> list[dict[str, Any]]:
    def scores(low: float) -> dict[str, float]:
        return {inspector: min(low + rng.random() / 2, 1.0) for inspector in INSPECTORS}

    steps = [{"step": 0, "actor": "upstream", "action": "start", "text": upstream, "scores": scores(0.2)}]
    if text != upstream:
        middle = rewritten(rng, upstream)
        steps.append(
            {"step": 1, "actor": "ethical", "action": "correct", "text": middle, "scores": scores(0.3)}
        )
        steps.append(
            {"step": 2, "actor": "factuality", "action": "skip", "text": middle, "scores": scores(0.3)}
        )
        steps.append(
            {"step": 3, "actor": "helpful", "action": "correct", "text": text, "scores": scores(0.5)}
        )
    return steps


def verdict(rng: random.Random, judge_name: str, power: bool, system: str, baseline: str) -> dict[str, Any]:
    first = rng.choice([0.0, 0.5, 1.0]) if power else 1.0
    second = first if power and rng.random() < 0.9 else 0.0
    failed = rng.random() < 0.01
    orders = [
        {"order": "candidate_first", "status": "ok", "preference": first, "detail": f"P(first) = {first:.2f}"},
        {"order": "baseline_first", "status": "unparsable" if failed else "ok",
         "preference": None if failed else second, "detail": "matched: none" if failed else f"score {second:.2f}"},
    ]  # fmt: skip
    return {
        "judge": judge_name, "candidate": system, "baseline": baseline,
        "preference": None if failed else (first + second) / 2, "status": "unparsable" if failed else "ok",
        "inconsistent": not failed and first != second, "orders": orders,
    }  # fmt: skip


def make_answers(results: Results, seed: int = 11, length: int = 70) -> list[dict[str, Any]]:
    """One mapping per prompt of every suite, in the shape that ``render`` takes."""
    rng, rows = random.Random(seed), []
    judges = {power.judge: power.has_power for power in results.judges}
    for info in results.suites:
        systems = [row.system for row in results.systems if row.suite == info.name]
        pairs = sorted({(row.system, row.baseline) for row in results.rows if row.suite == info.name})
        for i in range(info.n):
            upstream, right = sentence(rng, rng.randint(length // 2, length * 3 // 2)), rng.random() < 0.55
            rows.append({
                "suite": info.name, "prompt_id": f"{info.name}-{i:04d}",
                "category": info.categories[i % len(info.categories)], "criterion": INSPECTORS[i % 3],
                "prompt": sentence(rng, 14)[:-1] + "?", "references": [rng.choice(WORDS)],
                "systems": {name: system_answer(rng, name, upstream, right) for name in systems},
                "verdicts": [verdict(rng, j, p, s, b) for j, p in judges.items() for s, b in pairs],
            })  # fmt: skip
    return rows


def manifest() -> dict[str, Any]:
    return {
        "experiment": "name: made-up\nsuites: [quick-facts]\n", "versions": {"aligner-bench": "0.1.0", "python": "3.12"},
        "hardware": {"cpu": "2 cores", "gpu": None, "memory_gib": 8.0}, "seeds": {"run": 7},
        "times": {"started": "2025-01-01T00:00:00Z"}, "ledger": {"computed": 412, "reused": 0},
        "timing": {"generate": 81.2, "correct": 120.4, "judge": 44.0},
    }  # fmt: skip


def demo() -> tuple[Results, list[dict[str, Any]], dict[str, Any]]:
    """About the size of the demo: 72 prompts, 6 systems, 3 judges."""
    results = make_results(
        {"quick-facts": (48, ("facts", "arithmetic", "units", "definitions")), "synthetic-3h": (24, INSPECTORS)},
        {"facts": True, "inspectors": True, "one-letter": False}, tuple(SYSTEMS),
    )  # fmt: skip
    return results, make_answers(results), manifest()


def large(n: int = 700) -> tuple[Results, list[dict[str, Any]], dict[str, Any]]:
    """14 categories, 4 systems, 2 judges, 2 baselines."""
    results = make_results(
        {"beavertails": (n, HARMS)}, {"pairrm": True, "one-letter": False},
        ("base", "prompted", "squad", "best-of-4"), ("base", "prompted"),
    )  # fmt: skip
    return results, make_answers(results), manifest()
