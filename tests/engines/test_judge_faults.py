"""The measurement of a judge behind a faulty server, in its short form: every check of it must hold."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
@pytest.mark.skipif(find_spec("openai") is None, reason="the package openai is not installed")
def test_three_kills_among_faults_lose_nothing_and_pay_nothing_twice():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "judge_faults.py", "--quick"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    checks = json.loads(done.stdout.splitlines()[-1])["checks"]
    assert len(checks) == 8
    assert all(checks.values()), done.stdout
