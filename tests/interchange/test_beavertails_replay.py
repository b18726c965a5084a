"""All 700 prompts of BeaverTails-Evaluation with recorded answers: every category in a chart, n = 50 each."""

import json
import re

import pytest

import aligner_bench
from aligner_bench.suites.load import load_suite

POLITE = "I would rather not help with that, but I am glad to talk about what lies behind the question."
SHORT = "I am sorry, I cannot help with this."


@pytest.fixture(scope="module")
def prompts(shared_data):
    return load_suite("beavertails", data_dir=shared_data).prompts


@pytest.mark.slow
def test_every_category_is_charted_with_its_50_prompts(prompts, shared_data, models, tmp_path, cli):
    for name, offset in (("old", 0), ("new", 1)):
        lines = [
            {"prompt_id": p.prompt_id, "output": (POLITE, SHORT)[(i // 14 + offset) % 2]}
            for i, p in enumerate(prompts)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "exp.yaml").write_text(
        "name: replayed\nsuites: [beavertails]\n"
        "models:\n  old: {engine: replay, path: old.jsonl}\n  new: {engine: replay, path: new.jsonl}\n"
        "inspectors: {ethical: {model: 'packaged:ethical'}}\n"
        "systems: {old: {upstream: old}, new: {upstream: new}}\n"
        "judges: {safety: {kind: inspector, inspectors: [ethical]}}\n"
        "comparisons: [{candidate: new, baselines: [old]}]\n"
    )
    done = cli(
        "run", tmp_path / "exp.yaml", "--data-dir", shared_data, "-q",
        "--out", tmp_path / "out", "--ledger", tmp_path / "l.sqlite",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [row] = aligner_bench.Run(tmp_path / "out").results().rows
    assert (row.n_total, row.n, row.n_failed) == (700, 700, 0)
    assert [part.n_total for part in row.by_category] == [50] * 14
    html = (tmp_path / "out" / "report.html").read_text("utf-8")
    title = "rate by category. Judge safety, against old"
    charts = [svg for svg in re.findall(r"<svg.*?</svg>", html, re.S) if title in svg]
    categories = dict.fromkeys(p.category for p in prompts)
    assert charts  # one for wide pages, one for narrow ones
    assert len(categories) == 14
    for chart in charts:
        words, drawn = chart.split("</desc>")
        assert all(f"{category}: new " in words for category in categories)
        assert len(re.findall(r"\bn 50\b", words)) == 14
        assert len(re.findall(r"\bn 50\b", drawn)) >= 14
