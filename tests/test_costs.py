"""Money: prices, what answers cost, and a limit that is kept and said; against a server that counts."""

from __future__ import annotations

import json
import math
import threading
import time

import pytest

import aligner_bench
from aligner_bench.core.errors import UsageError
from aligner_bench.engines.base import model_spec
from aligner_bench.engines.costs import listed_prices, price_of
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.verify.verify import verify
from tests.engines.servers import as_json, chat_reply, serving

PROMPTS = 20
IN, OUT = 100.0, 1000.0  # dollars for a million tokens: large, so that a limit is met soon
COST = (7 * IN + 3 * OUT) / 1e6  # the server bills 7 tokens in and 3 out


class Counting:
    """Answers everything; knows how many calls came and how many were open at once."""

    def __init__(self):
        self.calls = self.open = self.most_open = 0
        self._lock = threading.Lock()

    def __call__(self, path, body, headers):
        with self._lock:
            self.calls += 1
            self.open += 1
            self.most_open = max(self.open, self.most_open)
        time.sleep(0.01)
        with self._lock:
            self.open -= 1
        return as_json(chat_reply(f"about {body['messages'][-1]['content'][:20]}"))


@pytest.fixture
def counted(tmp_path):
    """``write(extra)`` makes an experiment on a counting server: a base and an aligner of the same model."""
    server = Counting()
    rows = [
        {"id": f"p{i}", "prompt": f"Question {i}?", "references": ["Question 1?"]} for i in range(PROMPTS)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "suite.yaml").write_text(
        "name: money\nversion: 1\nlicence: CC0-1.0\nsources: [{kind: packaged, path: rows.jsonl}]\n"
    )
    with serving(server) as url:

        def write(extra="", prices=f"prices: {{paid: {{input: {IN}, output: {OUT}}}}}\n"):
            (tmp_path / "exp.yaml").write_text(
                "name: money\nsuites: [suite.yaml]\ndecoding: {max_new_tokens: 3}\n"
                f"models: {{paid: {{engine: openai, model: some, base_url: '{url}', concurrency: 4}}}}\n"
                "systems:\n  base: {upstream: paid}\n"
                "  new: {upstream: paid, corrector: {kind: aligner, model: paid, template: prompted}}\n"
                "judges: {facts: {kind: reference}}\ncomparisons: [{candidate: new, baselines: [base]}]\n"
                + prices
                + extra
            )
            return tmp_path / "exp.yaml"

        yield write, server


def run(path, tmp_path, **options):
    return aligner_bench.run(Experiment.load(path), tmp_path / "out", ledger=tmp_path / "l.sqlite", **options)


def test_every_answer_carries_its_cost_and_a_rerun_spends_nothing(counted, tmp_path):
    write, server = counted
    first = run(write(), tmp_path)
    cost = {
        name: sum(r["cost"] for r in first.rows("responses") if r["system"] == name)
        for name in ("base", "new")
    }
    assert cost["base"] == pytest.approx(PROMPTS * COST)
    assert cost["new"] == pytest.approx(2 * PROMPTS * COST)  # the shared upstream answer and its correction
    assert first.manifest["spent"]["usd"] == pytest.approx(server.calls * COST)
    assert server.calls == 2 * PROMPTS
    again = aligner_bench.run(Experiment.load(write()), tmp_path / "other", ledger=tmp_path / "l.sqlite")
    assert again.manifest["spent"]["usd"] == 0
    assert [r["cost"] for r in again.rows("responses")] == [r["cost"] for r in first.rows("responses")]
    assert server.calls == 2 * PROMPTS
    assert verify(again.path).ok


def test_max_cost_stops_before_it_is_passed_and_a_higher_one_goes_on(counted, tmp_path, cli):
    write, server = counted
    limit = 6.5 * COST
    command = ("run", write(), "--out", tmp_path / "out", "--ledger", tmp_path / "l.sqlite", "--quiet")
    done = cli(*command, "--max-cost", f"{limit:.6f}", OPENAI_API_KEY="none")
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "max_cost: stopped at" in done.stderr
    assert "the ledger" in done.stderr
    assert 0 < server.calls * COST <= limit + server.most_open * COST
    assert not (tmp_path / "out").exists()
    spent = server.calls
    again = cli(*command, "--max-cost", "100", OPENAI_API_KEY="none")
    assert again.returncode == 0, again.stderr
    assert server.calls == 2 * PROMPTS  # what was paid before is not paid again
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["spent"]["usd"] == pytest.approx((2 * PROMPTS - spent) * COST)
    assert manifest["spent"]["max_cost"] == 100
    assert f"spent: ${manifest['spent']['usd']:.4f}" in again.stdout


def test_max_cost_of_the_file_is_no_part_of_the_experiments_hash(counted, tmp_path):
    write, server = counted
    with pytest.raises(UsageError, match="max_cost: stopped at"):
        run(write(f"max_cost: {3.5 * COST:.6f}\n"), tmp_path)
    low = Experiment.load(tmp_path / "exp.yaml").hash()
    assert server.calls * COST <= 3.5 * COST
    assert Experiment.load(write("max_cost: 5\n")).hash() == low
    assert verify(run(tmp_path / "exp.yaml", tmp_path).path).ok


def test_an_unknown_price_is_said_and_no_limit_is_promised_with_it(counted, tmp_path):
    write, _ = counted
    with pytest.raises(UsageError, match=r"max_cost: no price is known for models\.paid"):
        run(write("max_cost: 1\n", prices=""), tmp_path)
    found = run(write(prices=""), tmp_path)
    assert all(math.isnan(row["cost"]) for row in found.rows("responses"))
    assert found.manifest["spent"]["calls_without_a_known_price"] == 2 * PROMPTS
    assert verify(found.path).ok


def test_a_price_for_an_unknown_model_names_the_line(counted, cli):
    write, _ = counted
    done = cli("plan", write(prices="prices: {payd: {input: 1, output: 1}}\n"))
    assert done.returncode == 2
    assert "unknown model 'payd'; did you mean 'paid'?" in done.stderr


def test_listed_prices_have_a_date_and_a_source_and_speak_of_the_provider_only():
    assert listed_prices()["gpt-4-1106-preview"].price.input == 10
    assert listed_prices()["gpt-4o-mini-2024-07-18"].price.output == 0.6
    for known in listed_prices().values():
        assert known.as_of.startswith("20")
        assert known.source.startswith("https://")
        assert 0 < known.price.input <= known.price.output
    assert price_of(model_spec(engine="openai", model="gpt-4o")).price.input == 2.5
    assert price_of(model_spec(engine="openai", model="gpt-4o", base_url="http://localhost:8000/v1")) is None
    assert price_of(model_spec(engine="openai", model="made-up")) is None
    assert price_of(model_spec(engine="hf", model="smollm2")).price.input == 0


def test_costs_of_systems_judges_and_repairs_in_every_view(counted, tmp_path, cli):
    write, _ = counted
    found = run(write(), tmp_path)
    costs = {(row.what, row.name): row for row in found.results().costs}
    base, new = costs["system", "base"], costs["system", "new"]
    assert base.usd == pytest.approx(PROMPTS * COST)
    assert (base.calls, base.prompt_tokens, base.completion_tokens) == (PROMPTS, 7 * PROMPTS, 3 * PROMPTS)
    assert base.usd_each == pytest.approx(COST)
    assert base.n_repaired is None
    assert costs["judge", "facts"].price == "none"
    assert new.n_repaired is not None
    flat = json.loads(cli("leaderboard", found.path, "--format", "json").stdout)[0]
    assert flat["cost"] == pytest.approx(2 * PROMPTS * COST)
    assert flat["cost_base"] == pytest.approx(PROMPTS * COST)
    assert flat["cost_judge"] == 0
    table = cli("leaderboard", found.path).stdout
    assert "US dollars" in table
    assert f"${2 * PROMPTS * COST:.4f}" in table
    html = (found.path / "report.html").read_text()
    assert f"${PROMPTS * COST:.4f}" in html


def test_a_repairs_cost_is_what_correction_added(tmp_path):
    from aligner_bench.results.costs import cost_rows

    def row(system, kind, cost, before=None, right=None, was=None):
        return {
            "suite": "s", "system": system, "kind": kind, "upstream_model": "m", "upstream": before,
            "correct": right, "upstream_correct": was, "calls": 1, "prompt_tokens": 10,
            "completion_tokens": 5, "cost": cost,
        }  # fmt: skip

    answers = [row("base", "upstream", 1.0, right=False), row("base", "upstream", 1.0, right=True)]
    answers += [row("new", "aligner", 4.0, "a", True, False), row("new", "aligner", 2.0, "b", True, True)]
    tables = {"responses": answers, "verdicts": [], "audits": []}
    new = cost_rows(tables)[1]
    assert (new.n_repaired, new.usd_per_repair, new.tokens_per_repair) == (1, 4.0, 0.0)
    unknown = cost_rows({**tables, "responses": [answers[0], answers[1] | {"cost": math.nan}]})[0]
    assert (unknown.usd, unknown.price) == (None, "unknown")


def test_a_plan_says_calls_tokens_and_price_and_a_run_stays_below(counted, tmp_path, cli):
    from aligner_bench.runner.plan_report import PlanReport

    write, server = counted
    path = write("max_cost: 7\n")
    told = cli("plan", path, "--format", "json")
    assert told.returncode == 0, told.stderr
    report = PlanReport.model_validate_json(told.stdout)
    upstream, corrector, judge = report.stages
    assert (upstream.takes.calls, upstream.takes.completion_tokens) == (PROMPTS, 3 * PROMPTS)
    assert upstream.takes.prompt_tokens == sum(-(-len(f"Question {i}?") // 4) + 8 for i in range(PROMPTS))
    assert upstream.takes.usd == pytest.approx((upstream.takes.prompt_tokens * IN + 3 * PROMPTS * OUT) / 1e6)
    assert (corrector.takes.calls, judge.takes.calls) == (PROMPTS, 0)
    assert report.total.usd == pytest.approx(upstream.takes.usd + corrector.takes.usd)
    assert report.suites[0].detectable > 0
    assert server.calls == 0
    found = run(path, tmp_path)
    assert found.manifest["spent"]["usd"] <= report.total.usd
    text = cli("plan", path).stdout
    assert "$7.00; the run stops before the cost exceeds it" in text
    assert f"price: ${report.total.usd:.4f}" in text
    unknown = PlanReport.model_validate_json(cli("plan", write(prices=""), "--format", "json").stdout)
    assert (unknown.total.usd, unknown.unpriced) == (None, ["paid"])
    assert "no price known: paid" in cli("plan", tmp_path / "exp.yaml").stdout


def test_a_plan_knows_what_a_judge_will_ask(counted):
    from aligner_bench.runner.plan import make_plan

    write, _ = counted
    extra = "  - {candidate: new, baselines: [base], judges: [taste]}\n"
    path = write()
    path.write_text(
        path.read_text()
        .replace("{facts: {kind: reference}}", "{taste: {kind: logprob, model: paid, audit_pairs: 6}}")
        .replace("comparisons: [{candidate: new, baselines: [base]}]\n", f"comparisons:\n{extra}")
    )
    stage = make_plan(Experiment.load(path)).stages[-1]
    assert stage.expected.calls == 2 * (PROMPTS + 6)  # both orders, the audit included
    assert stage.expected.completion_tokens == stage.expected.calls
    assert stage.expected.usd > 0


def test_a_judge_of_probabilities_costs_what_its_requests_are_estimated_at(counted, tmp_path):
    from tests.judges.test_canaries_of_a_run import longest_wins

    write, _ = counted
    path = write()
    with serving(longest_wins) as url:
        text = path.read_text().replace(
            "models: {", f"models: {{long: {{engine: openai, model: l, base_url: '{url}'}}, "
        )
        text = text.replace(
            "{facts: {kind: reference}}", "{length: {kind: logprob, model: long, audit_pairs: 3}}"
        )
        path.write_text(text.replace("prices: {", "prices: {long: {input: 50, output: 50}, "))
        found = run(path, tmp_path)
    rows = [*found.rows("verdicts"), *found.rows("audits")]
    asked = [row for row in rows if row["detail"] != "identical texts"]
    assert len(asked) == 2 * (PROMPTS + 3)
    assert all(row["calls"] == 1 and row["cost"] > 0 for row in asked)
    judge = next(row for row in found.results().costs if row.what == "judge")
    answers = sum(row["cost"] for row in found.rows("responses") if row["system"] == "new")
    # The server's own count of tokens is in what was spent; rows must do without it, and say more.
    assert judge.usd == pytest.approx(sum(row["cost"] for row in rows))
    assert judge.usd >= found.manifest["spent"]["usd"] - answers > 0
