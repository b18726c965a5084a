"""A provider's batches over real HTTP: found again after a kill, paid once, failures in their rows."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec

import pytest

import aligner_bench
from aligner_bench.engines.base import model_spec
from aligner_bench.engines.costs import price_of
from tests.conftest import ROOT
from tests.engines.batch_server import BatchServer, serving_batches

pytestmark = pytest.mark.skipif(find_spec("openai") is None, reason="the package openai is not installed")

PROMPTS = [f"question {i}" for i in range(6)] + ["this one fails"]
KEY = "sk-planted-in-a-batch"


@pytest.fixture
def server():
    return BatchServer()


@pytest.fixture
def experiment(server, tmp_path):
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"id": f"p{i}", "prompt": text}) + "\n" for i, text in enumerate(PROMPTS))
    )
    (tmp_path / "suite.yaml").write_text(
        "name: few\nversion: 1\nlicence: CC0-1.0\nsources: [{kind: packaged, path: rows.jsonl}]\n"
    )
    with serving_batches(server) as url:
        (tmp_path / "exp.yaml").write_text(
            "name: batches\nsuites: [suite.yaml]\n"
            f"models:\n  api: {{engine: openai, model: m, base_url: '{url}', batch_api: true,"
            " api_key_env: MY_KEY, timeout: 30}\n"
            "systems: {base: {upstream: api}}\n"
        )
        yield tmp_path


def command(home):
    return ["run", home / "exp.yaml", "--out", home / "out", "--ledger", home / "l.sqlite", "--quiet"]


def killed_once_created(server, home):
    """Start the run, and kill it as soon as the server has made the batch."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aligner_bench", *map(str, command(home))],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MY_KEY": KEY},
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert server.created.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("mute", [False, True], ids=["created", "reply lost"])
def test_a_killed_run_waits_for_the_same_batch(server, experiment, cli, mute):
    server.mute = mute
    killed_once_created(server, experiment)
    server.mute = False
    server.released.set()
    done = cli(*command(experiment), MY_KEY=KEY)
    assert done.returncode == 0, done.stderr
    assert len(server.batches) == 1
    assert sorted(server.billed()) == sorted(set(server.billed()))
    run = aligner_bench.Run(experiment / "out")
    rows = {row["prompt_id"]: row for row in run.rows("responses")}
    assert [rows[f"p{i}"]["text"] for i in range(6)] == [f"answer to {text}" for text in PROMPTS[:6]]
    assert rows["p6"]["error"].startswith("too_long: ")
    assert run.manifest["engines"]["api"]["failures"] == {"too_long": 1}


def test_a_rerun_sends_only_what_failed(server, experiment, cli):
    server.released.set()
    for count in (1, 2):
        assert cli(*command(experiment), MY_KEY=KEY).returncode == 0
        assert len(server.batches) == count
    billed = server.billed()
    assert len(billed) == len(PROMPTS) + 1
    assert len(set(billed)) == len(PROMPTS)


def test_a_refused_batch_is_one_line_without_the_key(server, experiment, cli):
    server.failed = True
    server.released.set()
    done = cli(*command(experiment), MY_KEY=KEY)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "batch-0 failed" in done.stderr
    assert "may not do this" in done.stderr
    kept = b"".join(file.read_bytes() for file in experiment.glob("l.sqlite*"))
    assert KEY not in done.stderr + done.stdout
    assert KEY.encode() not in kept


def test_a_time_limit_ends_the_waiting_and_keeps_the_batch(server, experiment, cli):
    text = (experiment / "exp.yaml").read_text()
    (experiment / "exp.yaml").write_text(text.replace("timeout: 30", "timeout: 30, run_timeout: 1"))
    done = cli(*command(experiment), MY_KEY=KEY)
    assert done.returncode == 2
    assert "run_timeout of 1 s passed; batch batch-0 still runs" in done.stderr
    server.released.set()
    assert cli(*command(experiment), MY_KEY=KEY).returncode == 0
    assert len(server.batches) == 1


def test_batches_cost_their_share_of_the_price():
    spec = model_spec(engine="openai", model="gpt-4o")
    full, batched = price_of(spec).price, price_of(spec.model_copy(update={"batch_api": True})).price
    assert (batched.input, batched.output) == (full.input / 2, full.output / 2)
