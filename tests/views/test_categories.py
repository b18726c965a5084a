"""Fig. 3 of Ngweta et al. for any run: 14 categories, covered ones first, several opponents side by side."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace

import pytest

import aligner_bench
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.results.compute import compute

NAMES = [
    "animal_abuse", "child_abuse", "controversial_topics,politics", "discrimination,stereotype,injustice",
    "drug_abuse,weapons,banned_substance", "financial_crime,property_crime,theft",
    "hate_speech,offensive_language", "misinformation_regarding_ethics,laws_and_safety",
    "non_violent_unethical_behavior", "privacy_violation", "self_harm", "sexually_explicit,adult_content",
    "terrorism,organized_crime", "violence,aiding_and_abetting,incitement",
]  # fmt: skip
COVERED = [NAMES[i] for i in (2, 3, 6, 7)]
SHARES = {"corrected": 0.8, "plain": 0.45, "chat": 0.7, "other-aligner": 0.85}


def make_run(home):
    """140 made-up prompts, four recorded systems that are right with the shares above, no model at all."""
    draw = random.Random(0)
    rows = [
        {"id": f"p{i:03d}", "prompt": f"Question {i}?", "references": ["yes"], "category": NAMES[i % 14]}
        for i in range(140)
    ]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    suite = {
        "name": "made-up-harm", "version": "1", "licence": "CC0-1.0", "categories": NAMES,
        "relevant": COVERED, "sources": [{"kind": "packaged", "path": "rows.jsonl"}],
    }  # fmt: skip
    (home / "suite.yaml").write_text(json.dumps(suite))
    for name, share in SHARES.items():
        lines = [
            {"prompt_id": row["id"], "output": "yes" if draw.random() < share else f"no, says {name}"}
            for row in rows
        ]
        (home / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    experiment = {
        "name": "made-up-fig3",
        "suites": ["suite.yaml"],
        "models": {name: {"engine": "replay", "path": f"{name}.jsonl"} for name in SHARES},
        "systems": {name: {"upstream": name} for name in SHARES},
        "judges": {"facts": {"kind": "reference"}},
        "comparisons": [{"candidate": "corrected", "baselines": ["plain", "chat", "other-aligner"]}],
        "paper": {
            "table": "ngweta2024/figure3",
            "judge": "facts",
            "labels": {
                "plain": {"baseline": "Llama-2-13B (base)"},
                "chat": {"baseline": "Llama-2-13B-Chat"},
                "other-aligner": {"baseline": "Llama-2-13B + Ji et al. (2024a)"},
            },
        },
    }
    (home / "exp.yaml").write_text(json.dumps(experiment))
    return aligner_bench.run(Experiment.load(home / "exp.yaml"), home / "out", ledger=home / "l.sqlite")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("fig3"))


def chart_of(run, width):
    html = (run.path / "report.html").read_text("utf-8")
    section = html[html.index('<section id="categories"') :]
    charts = re.findall(rf'<svg class="chart {width}".*?</svg>', section[: section.index("</section>")], re.S)
    assert len(charts) == 1
    return charts[0]


@pytest.mark.parametrize("width", ["wide", "narrow"])
def test_one_chart_holds_14_categories_and_all_opponents_covered_first(run, width):
    chart = chart_of(run, width)
    described = re.search(r"<desc[^>]*>(.*?)</desc>", chart, re.S)[1]
    order = [part.split(":")[0].strip() for part in described.split("; ")]
    assert order == COVERED + [name for name in NAMES if name not in COVERED]
    assert chart.count("covered, relevant</text>") == 4
    assert chart.count('class="shaded"') == 4
    for opponent in ("plain", "chat", "other-aligner"):
        assert len(re.findall(rf">against {opponent}</text>", chart)) == 14
    # n and ties stand beside every point
    assert len(re.findall(r">n 10, \d+ ties?</text>", chart)) == 42
    assert chart.count('class="whisker') >= 42


def test_the_chart_shows_the_rates_of_the_rows(run):
    chart = chart_of(run, "wide")
    for row in run.results().rows:
        for part in row.by_category:
            value = part.rates["discrete"].value
            assert f"{100 * value:.1f}\u202f% (" in chart
            assert part.n_wins + part.n_draws + part.n_wins_base == part.n_total == 10


def test_each_category_stands_next_to_its_bar_in_the_paper(run):
    found = run.results().papers
    assert len(found) == 42
    slices = {(row.baseline, part.category): part for row in run.results().rows for part in row.by_category}
    for row in found:
        part = slices[row.baseline, row.category]
        decided = part.n_wins + part.n_wins_base
        assert row.ours.n == decided
        assert row.ours.value == (pytest.approx(part.n_wins / decided) if decided else None)
    first = next(row for row in found if row.row.startswith("terrorism") and row.baseline == "plain")
    assert (first.published, first.published_n) == (0.529412, None)
    assert "9/17, 18/34" in first.remark


def test_a_macro_cell_is_the_mean_of_the_categories_rates(run):
    cell = {
        "system": "corrected", "baseline": "plain", "suite": "made-up-harm", "category": None, "row": "r",
        "column": "c", "value": 0.811, "printed": "0.811", "n": 200, "definition": "macro", "source": "s",
        "note": "",
    }  # fmt: skip
    facts = replace(run.facts, paper={"table": "ngweta2024/table3", "judge": "facts", "cells": [cell]})
    results = compute(run.tables(), facts)
    parts = next(row for row in results.rows if row.baseline == "plain").by_category
    rates = [part.rates["strict"].value for part in parts if part.rates["strict"].value is not None]
    assert results.papers[0].ours.value == pytest.approx(sum(rates) / len(rates))
    assert results.papers[0].difference.method == "mover"
