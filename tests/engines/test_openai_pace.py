"""How fast a server is asked, when asking stops, and that nothing finished is lost: against real sockets."""

import json
import sqlite3
import threading
import time
from importlib.util import find_spec

import pytest

import aligner_bench
from aligner_bench.core.errors import UsageError
from aligner_bench.core.types import Request
from aligner_bench.engines.base import Hooks, make_engine, model_spec
from aligner_bench.experiment.experiment import Experiment
from tests.engines.servers import as_json, chat_reply, serving

pytestmark = pytest.mark.skipif(find_spec("openai") is None, reason="the package openai is not installed")


class Recorder:
    """Answers by ``rule(text, call number, calls in flight)``; keeps when each call came."""

    def __init__(self, rule=lambda text, number, in_flight: None):
        self.rule, self.calls, self.times = rule, [], []
        self.in_flight = 0
        self._lock = threading.Lock()

    def __call__(self, path, body, headers):
        text = body["messages"][-1]["content"]
        with self._lock:
            self.calls.append(text)
            self.times.append(time.monotonic())
            self.in_flight += 1
            number, in_flight = len(self.calls), self.in_flight
        try:
            return self.rule(text, number, in_flight) or as_json(chat_reply(f"answer to {text}"))
        finally:
            with self._lock:
                self.in_flight -= 1


def engine(url, **more):
    made = make_engine(model_spec(engine="openai", model="m", base_url=url, **more))
    made.load()
    return made


def busy(**headers):
    return as_json({"error": {"message": "slow down"}}, 429, **headers)


def requests(count):
    return [Request(f"question {i}") for i in range(count)]


def write_experiment(home, url, count, **more):
    rows = [{"id": f"p{i}", "prompt": f"question {i}"} for i in range(count)]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "suite.yaml").write_text(
        "name: many\nversion: 1\nlicence: CC0-1.0\nsources: [{kind: packaged, path: rows.jsonl}]\n"
    )
    fields = "".join(f", {name}: {value}" for name, value in more.items())
    (home / "exp.yaml").write_text(
        "name: paced\nsuites: [suite.yaml]\n"
        f"models: {{api: {{engine: openai, model: m, base_url: '{url}'{fields}}}}}\n"
        "systems: {base: {upstream: api}}\n"
    )
    return home / "exp.yaml"


def stored(home):
    with sqlite3.connect(home / "l.sqlite") as book:
        return book.execute("SELECT COUNT(*) FROM items").fetchone()[0]


@pytest.mark.parametrize("header", [{"Retry-After": "1"}, {"retry-after-ms": "1000"}])
def test_a_pause_that_a_server_asks_for_holds_for_all_its_models(header):
    server = Recorder(lambda text, number, in_flight: busy(**header) if number == 1 else None)
    with serving(server) as url:
        [refused] = engine(url, retries=0).complete(requests(1))
        answers = engine(url).complete(requests(3))
    assert refused.error.startswith("rate_limit: ")
    assert [answer.status for answer in answers] == ["ok"] * 3
    assert min(server.times[1:]) - server.times[0] >= 1.0


def test_fewer_calls_at_once_where_the_server_balks():
    """More than four at once are refused: the engine finds that out, and everything is answered."""

    def rule(text, number, in_flight):
        time.sleep(0.02)
        return busy() if in_flight > 4 else None

    server = Recorder(rule)
    with serving(server) as url:
        made = engine(url, concurrency=32, retries=30)
        answers = made.complete(requests(80))
    assert [answer.status for answer in answers] == ["ok"] * 80
    facts = made.facts()
    assert facts["lowest_concurrency"] <= 4
    assert facts["retries"]["rate_limit"] == len(server.calls) - 80
    assert facts["tries"] == len(server.calls)


def test_calls_a_minute():
    server = Recorder()
    with serving(server) as url:
        engine(url, rpm=600).complete(requests(16))
    assert max(server.times) - min(server.times) >= 0.5  # ten at once, then one every tenth of a second


def test_tokens_a_minute_by_the_server_s_own_count():
    """Every answer turns out to have taken 50 tokens of the 100 a second, far above the estimate."""

    def rule(text, number, in_flight):
        return as_json(chat_reply("so", prompt_tokens=0, completion_tokens=50))

    server = Recorder(rule)
    with serving(server) as url:
        made = engine(url, tpm=6000, concurrency=1)
        made.complete([Request("q") for _ in range(4)])
        before = len(server.times)
        made.complete([Request("q", answer="a" * 2400)] + [Request("q") for _ in range(4)])
    assert len(server.times) == before + 5
    assert made.facts()["waited_seconds"] > 0


@pytest.mark.parametrize(
    ("concurrency", "most"),
    [
        (1, 10 + 5),
        # Up to three answers may come in late, each after four refusals that then do not count; and when the
        # fifth in a row has come, three calls are on their way.
        (4, 10 + 3 * 4 + 5 + 3),
    ],
)
@pytest.mark.parametrize(
    ("status", "fields", "kind"),
    [
        (401, {"message": "no such key"}, "auth"),
        (404, {"message": "no such model", "code": "model_not_found"}, "not_found"),
        (429, {"message": "you exceeded your quota", "code": "insufficient_quota"}, "quota"),
    ],
)
def test_a_server_that_refuses_everything_is_left_alone(tmp_path, status, fields, kind, concurrency, most):
    closed = [True]

    def rule(text, number, in_flight):
        refused = closed[0] and number > 10
        return as_json({"error": fields}, status) if refused else None

    server = Recorder(rule)
    with serving(server) as url:
        experiment = Experiment.load(write_experiment(tmp_path, url, 60, concurrency=concurrency))
        with pytest.raises(UsageError, match=f"5 calls in a row failed .{kind}"):
            aligner_bench.run(experiment, tmp_path / "out", ledger=tmp_path / "l.sqlite")
        assert len(server.calls) <= most
        assert stored(tmp_path) == 10
        closed[0] = False
        aligner_bench.run(experiment, tmp_path / "out", ledger=tmp_path / "l.sqlite")
    assert not set(server.calls[:10]) & set(server.calls[10:])
    assert stored(tmp_path) == 60


def test_a_time_limit_for_the_run_keeps_what_is_finished(tmp_path):
    server = Recorder(lambda text, number, in_flight: time.sleep(0.2))
    with serving(server) as url:
        experiment = Experiment.load(write_experiment(tmp_path, url, 12, concurrency=2, run_timeout=0.7))
        lines = []
        for _ in range(12):
            try:
                aligner_bench.run(experiment, tmp_path / "out", ledger=tmp_path / "l.sqlite")
                break
            except UsageError as error:
                lines.append(str(error))
    assert lines
    assert all("run_timeout of 0.7 s passed" in line for line in lines)
    assert sorted(server.calls) == sorted(set(server.calls))
    assert stored(tmp_path) == 12


def test_what_is_finished_is_stored_while_other_calls_still_run(tmp_path):
    """The last question is answered only once all others are in the ledger."""

    def rule(text, number, in_flight):
        if text == "question 0":
            end = time.monotonic() + 60
            while stored(tmp_path) < 20 and time.monotonic() < end:
                time.sleep(0.02)
            seen.append(stored(tmp_path))

    seen = []
    server = Recorder(rule)
    with serving(server) as url:
        experiment = Experiment.load(write_experiment(tmp_path, url, 21, concurrency=4))
        aligner_bench.run(experiment, tmp_path / "out", ledger=tmp_path / "l.sqlite")
    assert seen == [20]
    assert stored(tmp_path) == 21


def test_no_call_starts_that_may_not():
    """The hook of a limit on spending: asked before each call, told of each end before the next begins."""
    started, ended, at_once = [], [], []

    def may_start(key):
        if len(started) == 10:
            return False
        started.append(key)
        at_once.append(len(started) - len(ended))
        return True

    server = Recorder(lambda text, number, in_flight: time.sleep(0.02))
    with serving(server) as url:
        keyed = {f"key {i}": request for i, request in enumerate(requests(50))}
        hooks = Hooks(may_start, lambda key, done: ended.append(key))
        bundles = list(engine(url, concurrency=4).stream(keyed, hooks))
    assert len(server.calls) == 10
    assert sorted(key for bundle in bundles for key in bundle) == sorted(started) == sorted(ended)
    assert max(at_once) == 4


def test_every_call_carries_the_key_of_its_item_also_when_it_is_made_again(tmp_path):
    keys = []

    def rule(path, body, headers):
        keys.append((body["messages"][-1]["content"], headers["Idempotency-Key"]))
        return as_json(chat_reply("ok")) if len(keys) % 3 == 0 else as_json({}, 500, **{"Retry-After": "0"})

    with serving(rule) as url:
        experiment = Experiment.load(write_experiment(tmp_path, url, 3, concurrency=1))
        aligner_bench.run(experiment, tmp_path / "out", ledger=tmp_path / "l.sqlite")
    assert len(keys) == 9
    with sqlite3.connect(tmp_path / "l.sqlite") as book:
        assert {key for _, key in keys} == {row[0] for row in book.execute("SELECT key FROM items")}
    assert len(set(keys)) == 3
