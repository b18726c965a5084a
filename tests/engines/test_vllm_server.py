"""The ``vllm-server`` engine: a vLLM server that we start, ask and stop, and that never outlives us."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

import aligner_bench
from aligner_bench.core.errors import UsageError
from aligner_bench.core.types import Decoding, Request
from aligner_bench.engines.base import make_engine, model_spec
from aligner_bench.engines.embedded import SMOLLM2
from aligner_bench.engines.vllm_env import PYTHON_VARIABLE, vllm_python

ROOT = Path(__file__).resolve().parents[2]


def processes(mark):
    """Those that inherited a mark in their environment; ended ones that nobody collected are not counted."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("TEST_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.vllm
def test_a_run_is_judged_through_a_server_that_is_gone_afterwards(tmp_path, cli):
    mark = str(tmp_path)
    (tmp_path / "exp.yaml").write_text(
        "name: served\nsuites: [{name: quick-facts, limit: 2}]\ndecoding: {max_new_tokens: 8}\nmodels:\n"
        "  one: {engine: vllm-server, model: smollm2-135m-instruct, kv_cache_gb: 1, max_model_len: 1024}\n"
        "systems:\n  base: {upstream: one}\n"
        "  corrected: {upstream: one, corrector: {kind: aligner, model: one, template: prompted}}\n"
        "judges: {letter: {kind: logprob, model: one, audit_pairs: 2}}\n"
        "comparisons: [{candidate: corrected, baselines: [base]}]\n"
    )
    call = ("run", tmp_path / "exp.yaml", "--out", tmp_path / "out", "--ledger", tmp_path / "l.sqlite")
    done = cli(*call, TEST_MARK=mark)
    assert done.returncode == 0, done.stderr
    run = aligner_bench.Run(tmp_path / "out")
    assert [row["error"] for row in run.rows("responses")] == [None] * 4
    assert {row["status"] for row in run.rows("verdicts")} <= {"ok", "tie"}
    assert len(run.rows("verdicts")) == 4
    said = run.manifest["engines"]["one"]
    assert said["version"] == vllm_python()[1]
    assert said["reproducible"] is False
    assert said["calls"] > 0
    assert run.manifest["model_loads"] == {"one": 1}
    assert not processes(mark)


@pytest.mark.vllm
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_server_ends_with_whoever_started_it(tmp_path, how):
    """Also while it is still loading, and when its starter has no time to say good-bye."""
    mark = str(tmp_path)
    program = (
        "from aligner_bench.engines.base import ModelSpec, model_spec, make_engine\n"
        f"make_engine(model_spec(engine='vllm-server', model='{SMOLLM2}', kv_cache_gb=1)).load()\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT, stderr=subprocess.PIPE, env={**os.environ, "TEST_MARK": mark},
    )  # fmt: skip
    wait_until(lambda: len(processes(mark)) > 1)
    starter.send_signal(how)
    starter.communicate(timeout=60)
    wait_until(lambda: not processes(mark))


@pytest.mark.vllm
def test_a_server_that_cannot_start_shows_why(tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_MARK", str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "llama", "architectures": ["NoSuchModel"]}')
    engine = make_engine(model_spec(engine="vllm-server", model=str(tmp_path)))
    with pytest.raises(UsageError, match=r"the server for .* ended: .*Error") as raised:
        engine.load()
    assert "\n" not in str(raised.value)
    assert processes(str(tmp_path)) <= {os.getpid()}


def test_an_interpreter_without_vllm_is_one_clear_line(tmp_path, monkeypatch):
    """Where this interpreter has vLLM itself, it needs no other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "none" / "python"))
    vllm_python.cache_clear()
    engine = make_engine(model_spec(engine="vllm-server", model=SMOLLM2))
    try:
        if find_spec("vllm") is not None:
            assert engine.identity()["engine"] == "vllm-server"
        else:
            with pytest.raises(UsageError, match=r"none/python, which has none\): make vllm"):
                engine.identity()
    finally:
        vllm_python.cache_clear()


@pytest.mark.vllm
def test_only_the_end_of_an_answer_is_cut():
    engine = make_engine(
        model_spec(engine="vllm-server", model=SMOLLM2, kv_cache_gb=1, max_model_len=256, concurrency=4)
    )
    engine.load()
    try:
        how = Decoding(max_new_tokens=8)
        long = Request("Question: what is best?\nAnswer: ", "word " * 600, "\nSay yes.", decoding=how)
        short = Request("What is the capital of France?", decoding=how)
        cut, whole, failed = engine.complete([long, short, Request("word " * 600, decoding=how)])
        probabilities = engine.choose([Request("Say A or B: ", "word " * 600, "A or B?")], ["A", "B"])[0]
    finally:
        engine.close()
    assert cut.cut_tokens > 300
    assert 240 <= cut.prompt_tokens <= 248
    assert (whole.text, whole.finish_reason) == ("The capital of France is Paris.", "stop")
    assert (failed.status, failed.cut_tokens) == ("error", 0)
    assert 0 < probabilities["A"] < 1
    assert engine.facts()["reproducible"] is False
