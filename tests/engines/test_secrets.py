"""A planted key, and everywhere it must not turn up: ledger, run folder, report, output, errors, traces."""

import json
import os
import subprocess
import sys
import textwrap
from importlib.util import find_spec

import pytest

from aligner_bench.core.errors import MissingExtraError, UsageError
from aligner_bench.core.types import Request
from aligner_bench.engines.base import make_engine, model_spec
from tests.conftest import ROOT
from tests.engines.servers import as_json, chat_reply, serving

pytestmark = pytest.mark.skipif(find_spec("openai") is None, reason="the package openai is not installed")

KEY = "sk-planted-0123456789abcdef"
QUERY = "token-in-the-query"
SECRETS = (KEY, QUERY)


class Echo:
    """Says what it was sent: in errors of several kinds, in a page of HTML, in a refusal of the key."""

    def __init__(self):
        self.seen = set()
        self.refuses = False

    def __call__(self, path, body, headers):
        said = f"you sent {dict(headers)} to {path}"
        self.seen |= {secret for secret in SECRETS if secret in said}
        text = body["messages"][-1]["content"]
        if self.refuses:
            return as_json({"error": {"message": said, "code": "invalid_api_key"}}, 401)
        if text == "broken":
            return as_json({"error": {"message": said}}, 500, **{"Retry-After": "0"})
        if text == "wrong":
            return as_json({"error": said}, 400)
        if text == "page":
            return 200, {"Content-Type": "text/html"}, f"<html>{said}</html>".encode()
        return as_json(chat_reply(f"answer to {text}"))


@pytest.fixture
def echo():
    return Echo()


@pytest.fixture
def home(echo, tmp_path):
    prompts = ["fine", "broken", "wrong", "page", "fine too"]
    rows = [{"id": f"p{i}", "prompt": text, "references": ["answer"]} for i, text in enumerate(prompts)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "suite.yaml").write_text(
        "name: echo\nversion: 1\nlicence: CC0-1.0\nsources: [{kind: packaged, path: rows.jsonl}]\n"
    )
    with serving(echo) as url:
        address = f"{url}?key={QUERY}"
        (tmp_path / "exp.yaml").write_text(
            "name: secrets\nsuites: [suite.yaml]\n"
            f"models: {{api: {{engine: openai, model: m, base_url: '{address}', retries: 1,"
            " api_key_env: MY_KEY}}\n"
            "systems:\n  base: {upstream: api}\n  same: {upstream: api, corrector: {kind: identity}}\n"
            "judges: {facts: {kind: reference}}\ncomparisons: [{candidate: same, baselines: [base]}]\n"
        )
        yield tmp_path


def planted(home, *texts):
    """Secrets in any file under the folder but the experiment itself, or in these texts."""
    files = [path for path in home.rglob("*") if path.is_file() and path.name != "exp.yaml"]
    kept = [path.read_bytes() for path in files] + [text.encode() for text in texts]
    assert len(files) >= 3
    return [secret for secret in SECRETS if any(secret.encode() in data for data in kept)]


def test_nothing_that_is_kept_or_shown_holds_a_secret(echo, home, cli):
    run = ("run", home / "exp.yaml", "--out", home / "out", "--ledger", home / "l.sqlite")
    done = cli(*run, MY_KEY=KEY, OPENAI_LOG="debug")
    assert done.returncode == 0, done.stderr
    assert echo.seen == set(SECRETS)  # they were there to be leaked
    texts = [done.stdout, done.stderr]
    for command in (("leaderboard", home / "out"), ("verify", home / "out"), ("plan", home / "exp.yaml")):
        shown = cli(*command, MY_KEY=KEY)
        texts += [shown.stdout, shown.stderr]
    assert (home / "out" / "report.html").is_file()
    assert planted(home, *texts) == []


def test_the_line_that_ends_a_run_holds_no_secret(echo, home, cli):
    echo.refuses = True
    done = cli("run", home / "exp.yaml", "--out", home / "out", "--ledger", home / "l.sqlite", MY_KEY=KEY)
    assert done.returncode == 2
    assert "5 calls in a row failed (auth: " in done.stderr
    assert echo.seen
    assert planted(home, done.stdout, done.stderr) == []


def test_a_traceback_holds_no_secret(echo, home):
    """Something of ours breaks while calls are in flight."""
    (home / "crash.py").write_text(
        textwrap.dedent(f"""
        from pathlib import Path
        import aligner_bench
        from aligner_bench import Experiment
        from aligner_bench.runner.progress import Silent

        class Crash(Silent):
            def advance(self, *args):
                raise RuntimeError("a defect of ours")

        home = Path({str(home)!r})
        aligner_bench.run(Experiment.load(home / "exp.yaml"), home / "out", ledger=home / "l.sqlite",
                          progress=Crash())
        """)
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", home / "crash.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MY_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "RuntimeError: a defect of ours" in done.stderr
    assert echo.seen
    assert planted(home, done.stdout, done.stderr) == []


def test_a_key_in_the_experiment_file_is_refused_and_not_repeated(home, cli):
    text = (home / "exp.yaml").read_text()
    (home / "exp.yaml").write_text(text.replace("api_key_env: MY_KEY", f"api_key: {KEY}"))
    done = cli("run", home / "exp.yaml", "--out", home / "out")
    assert done.returncode == 2
    assert "api_key" in done.stderr
    assert KEY not in done.stdout + done.stderr


BACKEND = """
from keyring.backend import KeyringBackend

class Backend(KeyringBackend):
    priority = 9

    def get_password(self, service, username):
        return {("openai", "me"): "%s"}.get((service, username))

    def set_password(self, service, username, password): ...
    def delete_password(self, service, username): ...
"""


@pytest.mark.skipif(find_spec("keyring") is None, reason="the package keyring is not installed")
def test_a_key_from_the_keyring(tmp_path, monkeypatch):
    import keyring.core

    (tmp_path / "planted_backend.py").write_text(BACKEND % KEY)
    monkeypatch.syspath_prepend(tmp_path)
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.core.load_keyring("planted_backend.Backend"))
    seen = []

    def answer(path, body, headers):
        seen.append(headers["Authorization"])
        return as_json({"error": {"message": f"no: {headers['Authorization']}"}}, 400)

    try:
        with serving(answer) as url:
            spec = model_spec(engine="openai", model="m", base_url=url, api_key_keyring="openai/me")
            made = make_engine(spec)
            made.load()
            [done] = made.complete([Request("x")])
            with pytest.raises(UsageError, match="no entry openai/you"):
                make_engine(spec.model_copy(update={"api_key_keyring": "openai/you"})).load()
    finally:
        keyring.set_keyring(before)
    assert seen == [f"Bearer {KEY}"]
    assert done.error.startswith("bad_request: ")
    assert KEY not in done.error
    assert KEY not in spec.model_dump_json() + json.dumps(made.identity())


def test_a_keyring_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    spec = model_spec(engine="openai", model="m", api_key_keyring="openai/me")
    with pytest.raises(MissingExtraError, match=r"aligner-bench\[keyring\]"):
        make_engine(spec).load()
