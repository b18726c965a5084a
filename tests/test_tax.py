"""The alignment tax through lm-eval, paired by question."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

from aligner_bench.suites.load import load_suite
from aligner_bench.tax.shape import TaxReport

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("lm_eval") is None, reason="the package lm-eval is not installed"),
]


@pytest.fixture
def recorded(tmp_path):
    """A correct upstream, a corrector that damages the first 8 of 40 answers, and a task file."""
    prompts = load_suite("quick-facts").prompts[:40]
    right = {p.prompt_id: f"The answer is {p.references[0]}." for p in prompts}
    broken = right | {p.prompt_id: "Who knows." for p in prompts[:8]}
    tasks = [{"prompt_id": p.prompt_id, "question": p.text, "answer": right[p.prompt_id]} for p in prompts]
    for name, outputs in (("up", right), ("worse", broken), ("same", right)):
        lines = [json.dumps({"prompt_id": key, "output": text}) + "\n" for key, text in outputs.items()]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in tasks))
    (tmp_path / "facts.yaml").write_text(
        "task: local_facts\ndataset_path: json\ntest_split: test\noutput_type: generate_until\n"
        f"dataset_kwargs: {{data_files: {{test: '{tmp_path / 'docs.jsonl'}'}}}}\n"
        "doc_to_text: '{{question}}'\ndoc_to_target: '{{answer}}'\n"
        "generation_kwargs: {until: [], max_gen_toks: 16}\n"
        "metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]\n"
    )
    (tmp_path / "exp.yaml").write_text(
        "name: tax\nsuites: [quick-facts]\nmodels:\n"
        "  up: {engine: replay, path: up.jsonl}\n  worse: {engine: replay, path: worse.jsonl}\n"
        "  same: {engine: replay, path: same.jsonl}\nsystems:\n  base: {upstream: up}\n"
        "  worse: {upstream: up, corrector: {kind: aligner, model: worse}}\n"
        "  same: {upstream: up, corrector: {kind: aligner, model: same}}\n"
    )
    return tmp_path


def test_the_tax_of_two_systems_on_a_suite_and_a_task_file(recorded, cli):
    command = ("tax", recorded / "exp.yaml", "--ledger", recorded / "l.sqlite", "--limit", "40")
    tasks = ("-t", "suite:quick-facts", "-t", recorded / "facts.yaml")
    done = cli(*command, *tasks, "--out", recorded / "tax.json", HF_HOME=str(recorded / "hf"))
    assert done.returncode == 0, done.stderr
    report = TaxReport.model_validate_json((recorded / "tax.json").read_text())
    rows = {(row.system, row.task): row for row in report.rows}
    assert len(rows) == 4
    for task in ("suite:quick-facts", "local_facts"):
        worse, same = rows["worse", task], rows["same", task]
        assert (worse.n, worse.without, worse.with_) == (40, 1.0, 0.8)
        assert (worse.n_lost, worse.n_gained) == (8, 0)
        assert worse.difference.value == pytest.approx(-0.2)
        assert worse.p_value == pytest.approx(2 * 0.5**8)
        assert (same.n_lost, same.n_gained, same.with_) == (0, 0, 1.0)
    assert len(report.samples) == 160
    assert "8 lost, 0 gained" in done.stdout


def test_a_margin_makes_it_a_gate(recorded, cli):
    command = ("tax", recorded / "exp.yaml", "--ledger", recorded / "l.sqlite", "--limit", "40")
    for system, margin, code in (("same", "15", 0), ("worse", "5", 1), ("worse", "15", 3)):
        done = cli(*command, "-t", "suite:quick-facts", "--system", system, "--margin", margin)
        assert done.returncode == code, done.stdout + done.stderr
    unknown = cli(*command, "-t", "suite:quick-facts", "--system", "base")
    assert unknown.returncode == 2
    assert "no corrected system 'base'" in unknown.stderr
    missing = cli(*command, "-t", "no_such_task_at_all")
    assert missing.returncode == 2
    assert "unknown task 'no_such_task_at_all'" in missing.stderr
