"""Progress as people see it: plain lines in CI, bars on a terminal, nothing with --quiet."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.engines.servers import as_json, chat_reply, serving
from tests.test_replayed_run import write_experiment


@pytest.fixture
def command(tmp_path):
    """A run of two systems on a paid server, and the environment it needs."""
    path = write_experiment(tmp_path, ["no"] * 6, ["yes"] * 6, [["yes"]] * 6)
    with serving(lambda path, body, headers: as_json(chat_reply("yes"))) as url:
        text = path.read_text().replace(
            "fixed: {engine: replay, path: fixed.jsonl}",
            f"fixed: {{engine: openai, model: m, base_url: '{url}'}}",
        )
        path.write_text(text + "prices: {fixed: {input: 1000, output: 1000}}\n")
        yield ("run", path, "--out", tmp_path / "out", "--ledger", tmp_path / "l.sqlite")


def test_plain_lines_where_there_is_no_terminal(command, cli):
    done = cli(*command)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert "[1/6] upstream answers" in lines
    assert "[3/6] system new" in lines
    assert "answering with fixed: 6 items" in lines
    assert any(re.fullmatch(r"  6 items in [\d.]+ s, \d+ tokens/s, \$0.0600 spent", line) for line in lines)
    assert "\x1b" not in done.stderr
    again = cli(*command)
    assert again.stderr.strip() == ""  # all from the ledger: nothing to wait for


def test_quiet_says_nothing(command, cli):
    done = cli(*command, "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_bar_on_a_terminal(command):
    main, side = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "160", "HF_HUB_OFFLINE": "1"}
    call = [sys.executable, "-m", "aligner_bench", *map(str, command)]
    with subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=side, env=env) as process:
        os.close(side)
        shown = b""
        while True:
            try:
                part = os.read(main, 4096)
            except OSError:  # what Linux says when the other side is closed
                break
            if not part:
                break
            shown += part
    os.close(main)
    assert process.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "[3/6] system new · answering with fixed" in text
    assert "6/6" in text
    assert "$0.0600 spent" in text
