"""A real judge over HTTP: SmolLM2 judges 50 pairs by an AlpacaEval annotator and by a rubric."""

from __future__ import annotations

import json

import pytest

from aligner_bench.runs import Run
from tests.conftest import leaderboard_of
from tests.engines.servers import serving

pytestmark = pytest.mark.slow

PAIRS = 50
AUDITED = 8
_CHARS = 100  # of prompts and answers: the model reads less than 1,000 tokens a second here
_STATUSES = {"ok", "tie", "refused", "unparsable", "truncated", "error", "missing"}


@pytest.fixture(scope="module")
def judged(tmp_path_factory, models, shared_data):
    """The command line's run of both judges on real pairs of AlpacaEval, shortened; and the server."""
    from tests.conftest import ROOT
    from tests.judges.smollm_server import SmolLM2Server

    home = tmp_path_factory.mktemp("smollm-judge")
    file = shared_data / "alpaca_eval/results/phi-2/weighted_alpaca_eval_gpt4_turbo/annotations.json"
    found = [row for row in json.loads(file.read_text()) if len(row["instruction"]) <= _CHARS][:PAIRS]
    write(home, found)
    server = SmolLM2Server()
    with serving(server) as url:
        (home / "exp.yaml").write_text(EXPERIMENT.format(url=url))
        yield home, server, run_cli(ROOT, home, "run", "exp.yaml", "--out", "out", "--ledger", "l.sqlite")


def run_cli(root, home, *args):
    import os
    import subprocess
    import sys

    return subprocess.run(
        [sys.executable, "-m", "aligner_bench", *args],
        cwd=home, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip


def write(home, found):
    rows = [{"id": f"p{i}", "prompt": row["instruction"]} for i, row in enumerate(found)]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "suite.yaml").write_text(
        "name: alpaca\nversion: 1\nlicence: CC-BY-NC-4.0\nsources: [{kind: packaged, path: rows.jsonl}]\n"
    )
    for name, side in (("old", "output_1"), ("new", "output_2")):
        lines = [{"prompt_id": f"p{i}", "output": row[side][:_CHARS]} for i, row in enumerate(found)]
        (home / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


EXPERIMENT = """\
name: smollm2-as-a-judge
suites: [suite.yaml]
models:
  old: {{engine: replay, path: old.jsonl}}
  new: {{engine: replay, path: new.jsonl}}
  smollm2: {{engine: openai, model: smollm2-135m-instruct, base_url: '{url}', concurrency: 24, timeout: 600}}
systems:
  base: {{upstream: old}}
  other: {{upstream: new}}
judges:
  m-or-M: {{kind: alpaca_eval, annotator: weighted_alpaca_eval_gpt4_turbo, model: smollm2, audit_pairs: 8}}
  helpful: {{kind: rubric, rubric: helpful, model: smollm2, max_new_tokens: 20, audit_pairs: 8}}
comparisons:
  - {{candidate: other, baselines: [base]}}
"""


def test_every_pair_ends_with_a_verdict_or_a_counted_status(judged):
    home, server, done = judged
    assert done.returncode == 0, done.stderr
    assert server.calls == 2 * 2 * (PAIRS + AUDITED)  # two judges, two orders, nothing asked twice
    run = Run(home / "out")
    for judge in ("m-or-M", "helpful"):
        verdicts = [row for row in run.rows("verdicts") if row["judge"] == judge]
        assert len(verdicts) == 2 * PAIRS
        assert {row["status"] for row in verdicts} <= _STATUSES
        assert all(row["calls"] == 1 and row["prompt_tokens"] > 100 for row in verdicts)
        row = next(row for row in leaderboard_of(run.path)["rows"] if row["judge"] == judge)
        parts = row["n_wins"] + row["n_draws"] + row["n_wins_base"] + row["n_failed"]
        assert parts == row["n_total"] == PAIRS
        assert sum(row["failures"].values()) == row["n_failed"]


def test_log_probabilities_make_graded_preferences(judged):
    home, _, _ = judged
    rows = [row for row in Run(home / "out").rows("verdicts") if row["judge"] == "m-or-M"]
    graded = [row["preference"] for row in rows if row["preference"] is not None]
    assert len(graded) > PAIRS
    assert any(0 < value < 1 for value in graded)
    assert all(
        "none of m, M among the top tokens" in r["detail"] for r in rows if r["status"] == "unparsable"
    )


def test_the_audit_says_that_the_judge_is_worth_nothing(judged):
    home, _, done = judged
    for judge in leaderboard_of(home / "out")["judges"]:
        assert judge["has_power"] is False, judge["sentence"]
        assert "no discriminating power" in judge["sentence"]
    assert "No conclusion: no judge of this run has discriminating power." in done.stdout


def test_asked_again_nothing_is_sent(judged):
    from tests.conftest import ROOT

    home, server, _ = judged
    before = server.calls
    again = run_cli(ROOT, home, "run", "exp.yaml", "--out", "again", "--ledger", "l.sqlite")
    assert again.returncode == 0, again.stderr
    assert server.calls == before
    assert leaderboard_of(home / "again") == leaderboard_of(home / "out")
    assert run_cli(ROOT, home, "verify", "out").returncode == 0
