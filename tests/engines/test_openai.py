"""The ``openai`` engine against servers on this machine: SmolLM2 behind it, and every way a call can fail."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib.util import find_spec

import pytest
from pydantic import ValidationError

import aligner_bench
from aligner_bench.core.errors import UsageError
from aligner_bench.core.types import Decoding, Request
from aligner_bench.engines.base import Hooks, make_engine, model_spec
from aligner_bench.engines.openai_retry import retry_after
from aligner_bench.experiment.experiment import Experiment
from tests.engines.servers import Misbehaving, SmolServer, as_json, chat_reply, serving

pytestmark = pytest.mark.skipif(find_spec("openai") is None, reason="the package openai is not installed")

FAULTS = {  # prompt -> (status, what the row says, calls with retries: 2)
    "fine": ("ok", None, 1),
    "busy twice": ("ok", None, 3),
    "busy for ever": ("error", "rate_limit: ", 3),
    "broken": ("error", "server: ", 3),
    "refused": ("error", "not_found: ", 1),
    "wrapped": ("error", "server: ", 3),
    "slow": ("error", "timeout: no whole reply", 3),
    "drip": ("error", "timeout: no whole reply", 3),
    "page": ("error", "not_json: ", 3),
    "cut json": ("error", "not_json: ", 3),
    "wrong json": ("error", "wrong_shape: ", 3),
    "no choices": ("error", "no_choices: ", 3),
    "much too long": ("error", "too_long: ", 1),
    "null message": ("empty", None, 1),
    "declined": ("ok", None, 1),
    "filtered": ("error", "filtered: ", 1),
    "long": ("truncated", None, 1),
}


def engine(url, **more):
    made = make_engine(model_spec(engine="openai", model="m", base_url=url, **more))
    made.load()
    return made


@pytest.fixture(scope="module")
def smol(models):
    server = SmolServer()
    with serving(server) as url:
        yield url, server


@pytest.fixture
def bad():
    server = Misbehaving()
    with serving(server) as url:
        yield url, server


def write_faults(home, url):
    rows = [{"id": f"p{i}", "prompt": text, "references": ["answer"]} for i, text in enumerate(FAULTS)]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "suite.yaml").write_text(
        "name: faults\nversion: 1\nlicence: CC0-1.0\nsources: [{kind: packaged, path: rows.jsonl}]\n"
    )
    (home / "exp.yaml").write_text(
        "name: faults\nsuites: [suite.yaml]\n"
        f"models:\n  api: {{engine: openai, model: m, base_url: '{url}', timeout: 3, retries: 2,"
        " api_key_env: MY_KEY}\n"
        "systems:\n  base: {upstream: api}\n  same: {upstream: api, corrector: {kind: identity}}\n"
        "judges: {facts: {kind: reference}}\ncomparisons: [{candidate: same, baselines: [base]}]\n"
    )
    return home / "exp.yaml"


def test_every_fault_is_a_counted_row_and_no_secret_is_kept(bad, tmp_path, cli):
    url, server = bad
    path = write_faults(tmp_path, url.replace("//", "//someone:pass-word-7@"))
    key = "sk-very-secret-123"
    done = cli("run", path, "--out", tmp_path / "out", "--ledger", tmp_path / "l.sqlite", MY_KEY=key)
    assert done.returncode == 0, done.stderr
    run = aligner_bench.Run(tmp_path / "out")
    rows = dict(zip(FAULTS, run.rows("responses"), strict=False))
    for text, (status, says, calls) in FAULTS.items():
        assert rows[text]["status"] == status, rows[text]
        assert (rows[text]["error"] or "").startswith(says or ""), rows[text]
        assert (rows[text]["error"] is not None) == (status == "error")
        assert server.calls[text] == calls, text
    system = next(row for row in run.results().systems if row.system == "base")
    assert system.statuses == {"empty": 1, "error": 12, "ok": 3, "truncated": 1}
    assert rows["declined"]["finish_reason"] == "refusal"
    [row] = run.results().rows
    assert (row.n_total, row.failures) == (17, {"missing": 12})
    facts = run.manifest["engines"]["api"]
    assert facts["calls"] == len(FAULTS)
    assert facts["tries"] == sum(server.calls.values()) == facts["calls"] + sum(facts["retries"].values())
    failed = [row["error"].partition(":")[0] for row in rows.values() if row["error"]]
    assert facts["failures"] == {kind: failed.count(kind) for kind in failed}
    assert facts["refusals"] == 1
    assert f"api: 17 calls in {facts['tries']} attempts; retried: " in done.stdout
    kept = [file.read_bytes() for file in [*(tmp_path / "out").iterdir(), tmp_path / "l.sqlite"]]
    for secret in (key, "pass-word-7", "someone", "c29tZW9uZTpwYXNzLXdvcmQtNw"):
        assert not any(secret.encode() in data for data in kept), secret
        assert secret not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_rerun_asks_again_for_the_failed_items_only(bad, tmp_path):
    url, server = bad
    experiment = Experiment.load(write_faults(tmp_path, url))
    aligner_bench.run(experiment, tmp_path / "out", ledger=tmp_path / "l.sqlite")
    before = dict(server.calls)
    again = aligner_bench.run(experiment, tmp_path / "out", ledger=tmp_path / "l.sqlite")
    failed = {text for text, (status, _, _) in FAULTS.items() if status == "error"}
    assert {text for text in FAULTS if server.calls[text] > before[text]} == failed
    assert len(again.rows("responses")) == 2 * len(FAULTS)


def test_a_server_that_is_not_there(tmp_path):
    with serving(Misbehaving()) as url:
        gone = url
    [done] = engine(gone, retries=0).complete([Request("x")])
    assert done.status == "error"
    assert done.error.startswith("connection: ")


def test_calls_are_made_at_once_and_no_more_than_allowed(bad):
    url, server = bad
    answers = engine(url, concurrency=3).complete([Request("together", answer="")] * 9)
    assert [a.text for a in answers] == ["answer to together"] * 9
    assert server.most_in_flight == 3


def test_works_where_a_loop_already_runs(bad):
    import asyncio

    async def notebook():
        return engine(bad[0]).complete([Request("hello")])

    [done] = asyncio.run(notebook())
    assert done.text == "answer to hello"


def test_what_is_sent_and_what_is_read(bad):
    url, server = bad
    decoding = Decoding(max_new_tokens=9, temperature=0.5, top_p=0.9, top_k=4, stop=("###",))
    turns = (("user", "hi"), ("assistant", "ho"))
    made = engine(url)
    requests = [Request("st", "o", "p", history=turns, decoding=decoding, sample=s) for s in (0, 1)]
    cut, _ = made.complete(requests)
    assert (cut.text, cut.finish_reason) == ("first", "stop_string")
    assert (cut.prompt_tokens, cut.completion_tokens) == (7, 3)
    (path, one), (_, two) = server.bodies
    assert path == "/v1/chat/completions"
    assert one["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "ho"},
        {"role": "user", "content": "stop"},
    ]
    assert (one["max_tokens"], one["temperature"], one["top_p"], one["top_k"]) == (9, 0.5, 0.9, 4)
    assert one["stop"] == ["###"]
    assert one["seed"] != two["seed"]
    made.complete([Request("plain", chat=False)])
    path, body = server.bodies[-1]
    assert (path, body["prompt"], body["temperature"]) == ("/v1/completions", "plain", 0.0)
    assert "seed" not in body
    assert "messages" not in body


def test_log_probabilities_system_turns_and_further_fields():
    bodies = []
    tops = [("b", -2.0), ("a", -0.5)]
    tokens = [{"token": "a", "logprob": -0.5, "top_logprobs": [{"token": t, "logprob": p} for t, p in tops]}]

    def answer(path, body, headers):
        bodies.append(body)
        if "prompt" in body:
            choice = {"text": " a", "finish_reason": "length", "logprobs": {"top_logprobs": [dict(tops)]}}
            return as_json({"choices": [choice]})
        message = {"role": "assistant", "content": None}
        if "tools" in body:
            message["tool_calls"] = [
                {"type": "function", "function": {"name": "rank", "arguments": '{"a": 1}'}}
            ]
        elif "functions" in body:
            message["function_call"] = {"name": "rank", "arguments": '{"b": 2}'}
        else:
            message["content"] = "a"
        return as_json(chat_reply("", message=message, logprobs={"content": tokens}))

    one = Decoding(max_new_tokens=1, temperature=1.0)
    tools = json.dumps({"tools": [{"type": "function"}], "tool_choice": "required"})
    system = (("system", "Judge well."),)
    with serving(answer) as url:
        made = engine(url, concurrency=1)
        asked, called, older, plain = made.complete(
            [
                Request("x", history=system, decoding=one, top_logprobs=5),
                Request("x", history=system, extra=tools),
                Request("x", extra=json.dumps({"functions": [{"name": "rank"}]})),
                Request("x", chat=False, decoding=one, top_logprobs=3),
            ]
        )
    assert bodies[0]["messages"][0] == {"role": "system", "content": "Judge well."}
    assert (bodies[0]["temperature"], bodies[0]["max_tokens"]) == (1.0, 1)
    assert (bodies[0]["logprobs"], bodies[0]["top_logprobs"]) == (True, 5)
    assert asked.logprobs == ({"a": -0.5, "b": -2.0},)
    assert list(asked.logprobs[0]) == ["a", "b"]
    assert bodies[1]["tool_choice"] == "required"
    assert "logprobs" not in bodies[1]
    assert called.logprobs == ()
    assert (called.text, older.text) == ('{"a": 1}', '{"b": 2}')
    assert bodies[3]["logprobs"] == 3
    assert plain.logprobs == ({"a": -0.5, "b": -2.0},)


def test_log_probabilities_that_do_not_come_are_a_failure_and_end_a_long_stream():
    made = None
    with serving(lambda path, body, headers: as_json(chat_reply("m"))) as url:
        made = engine(url, concurrency=2, retries=1)
        paid = []
        hooks = Hooks(finished=lambda key, done: paid.append((done.prompt_tokens, done.completion_tokens)))
        [[done]] = [bundle.values() for bundle in made.stream({"x": Request("x", top_logprobs=5)}, hooks)]
        with pytest.raises(UsageError, match="5 calls in a row failed"):
            made.complete([Request("x", top_logprobs=5)] * 40)
    assert done.error.startswith("no_logprobs: ")
    assert paid == [(2 * 7, 2 * 3)]  # both tries, by the server's count
    assert made.facts()["calls"] <= 1 + 5 + 2


def test_identity_names_model_and_server_and_no_secret():
    def identity(url, **more):
        return make_engine(model_spec(engine="openai", model="m", base_url=url, **more)).identity()

    plain = identity("http://Host:8000/v1")
    assert plain["model"] == "m"
    assert plain["server"] == "host:8000/v1"
    assert identity("http://me:secret@host:8000/v1/?key=secret", concurrency=2, timeout=1) == plain
    assert identity("http://host:8001/v1") != plain
    assert identity("http://host:8000/v1", chat=False) != plain
    spec = model_spec(engine="openai", model="m", base_url="http://me:secret@host/v1?key=secret")
    assert "secret" not in spec.model_dump_json()


def test_faults_of_the_experiment_file(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ValidationError, match="model\n  Field required"):
        model_spec(engine="openai")
    with pytest.raises(UsageError, match="must begin with http") as error:
        make_engine(model_spec(engine="openai", model="m", base_url="ftp://me:secret@host"))
    assert "secret" not in str(error.value)
    with pytest.raises(UsageError, match="NO_SUCH_KEY is not set"):
        make_engine(model_spec(engine="openai", model="m", api_key_env="NO_SUCH_KEY")).load()


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("-4", 0.0), ("99999", 120.0), ("soon", None), ("nan", None), ("", None)],
)
def test_retry_after_in_seconds(said, seconds):
    assert retry_after(_RefusedError(said)) == seconds


def test_retry_after_as_a_date():
    past = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    future = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert retry_after(_RefusedError(past)) == 0.0
    assert retry_after(_RefusedError(future)) == 120.0
    assert retry_after(ValueError()) is None


def test_the_reset_of_the_limit_that_is_exhausted():
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m2.5s",
        "x-ratelimit-remaining-tokens": "70",
        "x-ratelimit-reset-tokens": "90s",
    }
    assert retry_after(_RefusedError("", **headers)) == 62.5
    assert retry_after(_RefusedError("3", **headers)) == 3.0
    assert retry_after(_RefusedError("3", **headers, **{"retry-after-ms": "250"})) == 0.25


class _RefusedError(Exception):
    def __init__(self, said, **more):
        self.response = type("Response", (), {"headers": {"retry-after": said, **more}})()


@pytest.mark.slow
def test_a_server_answers_a_suite_as_the_model_itself_does(smol, tmp_path, cli):
    """The same weights behind a server and in this process: the same text, token for token."""
    url, server = smol
    (tmp_path / "exp.yaml").write_text(
        "name: served\nsuites: [{name: quick-facts, limit: 8}]\ndecoding: {max_new_tokens: 16}\n"
        f"models:\n  api: {{engine: openai, model: smollm2, base_url: '{url}', timeout: 900}}\n"
        "  here: {engine: hf, model: smollm2-135m-instruct}\n"
        "systems:\n  served: {upstream: api}\n  local: {upstream: here}\n"
        "judges: {facts: {kind: reference}}\ncomparisons: [{candidate: served, baselines: [local]}]\n"
    )
    before = server.calls
    run = ("run", tmp_path / "exp.yaml", "--out", tmp_path / "out", "--ledger", tmp_path / "l.sqlite")
    done = cli(*run)
    assert done.returncode == 0, done.stderr
    rows = aligner_bench.Run(tmp_path / "out").rows("responses")
    served, local = ([r for r in rows if r["system"] == name] for name in ("served", "local"))
    assert len(served) == 8
    assert all(row["status"] in ("ok", "truncated") for row in served)
    for name in ("text", "status", "prompt_tokens", "completion_tokens"):
        assert [r[name] for r in served] == [r[name] for r in local]
    [row] = aligner_bench.Run(tmp_path / "out").results().rows
    assert row.n_identical == row.n == 8
    assert server.calls - before == 8
    assert cli(*run).returncode == 0
    assert server.calls - before == 8  # the ledger has them


@pytest.mark.parametrize("chat", [True, False])
def test_first_token_probabilities_are_those_of_the_model(smol, chat):
    request = Request("Say yes or no. The sky is blue." if chat else "The capital of France is", chat=chat)
    words = ("Yes", "No") if chat else (" Paris", " the")
    [served] = engine(smol[0], chat=chat).choose([request], [word.strip() for word in words])
    local = make_engine(model_spec(engine="hf", model="smollm2-135m-instruct", chat=chat))
    local.load()
    [known] = local.choose([request], words)
    best = max(words, key=known.get)
    assert known[best] > 0.001
    assert served[best.strip()] >= known[best] - 1e-6


def test_no_probabilities_are_an_error_not_a_tie(bad):
    """A server that gives no log-probabilities, or fails, is tried again in the next run."""
    made = engine(bad[0], retries=0)
    assert made.choose([Request("hello"), Request("refused")], ("m", "M")) == [{}, {}]


def test_a_judge_without_probabilities_gives_errors_that_a_rerun_tries_again(bad, tmp_path):
    url, server = bad
    (tmp_path / "rows.jsonl").write_text('{"id": "p0", "prompt": "one"}\n{"id": "p1", "prompt": "two"}\n')
    (tmp_path / "suite.yaml").write_text(
        "name: two\nversion: 1\nlicence: CC0-1.0\nsources: [{kind: packaged, path: rows.jsonl}]\n"
    )
    for name in ("a", "b"):
        lines = [{"prompt_id": f"p{i}", "output": f"{name} {i}"} for i in range(2)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "exp.yaml").write_text(
        "name: judged\nsuites: [suite.yaml]\n"
        f"models:\n  api: {{engine: openai, model: m, base_url: '{url}'}}\n"
        "  a: {engine: replay, path: a.jsonl}\n  b: {engine: replay, path: b.jsonl}\n"
        "systems: {a: {upstream: a}, b: {upstream: b}}\n"
        "judges: {taste: {kind: logprob, model: api, audit_pairs: 0}}\n"
        "comparisons: [{candidate: a, baselines: [b]}]\n"
    )
    experiment = Experiment.load(tmp_path / "exp.yaml")
    [row] = aligner_bench.run(experiment, tmp_path / "out", ledger=tmp_path / "l.sqlite").results().rows
    assert (row.n, row.n_failed, row.failures) == (0, 2, {"error": 2})
    calls = len(server.bodies)
    assert calls == 4 * 3  # such replies are asked for again, twice
    aligner_bench.run(experiment, tmp_path / "out", ledger=tmp_path / "l.sqlite")
    assert len(server.bodies) == 2 * calls
