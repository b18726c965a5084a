"""The wheel, alone in an empty environment, is a working core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow


def quiet(*command: str | Path, **options) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=900, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fresh_environment(home: Path, *packages: Path) -> Path:
    """The ``bin`` of a new environment with the wheel, the core's dependencies, and further packages."""
    quiet(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", home, ROOT)
    quiet(sys.executable, "-m", "venv", home / "env")
    (wheel,) = home.glob("*.whl")
    for package in (wheel, *packages):
        quiet(home / "env" / "bin" / "python", "-m", "pip", "install", "-q", package)
    return home / "env" / "bin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The console script of the wheel in a fresh environment with nothing but the core's dependencies."""
    return fresh_environment(tmp_path_factory.mktemp("wheel")) / "aligner-bench"


def clean_env(**extra: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | extra


def test_the_wheel_holds_the_package_and_nothing_beside_it(installed):
    (wheel,) = installed.parents[2].glob("*.whl")
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert len(tops) == 2
    assert {name.split("-")[0] for name in tops} == {"aligner_bench"}


def test_lists_suites_and_plans_the_packaged_experiment(installed, tmp_path):
    listed = quiet(installed, "suites", "list", "--format", "json", cwd=tmp_path, env=clean_env())
    rows = {row["name"]: row for row in json.loads(listed)}
    assert rows["quick-facts"]["rows"] == 96
    assert rows["synthetic-3h"]["rows"] == 120
    assert "beavertails" in rows
    assert "quick-facts" in quiet(installed, "plan", "quickstart", cwd=tmp_path, env=clean_env())
    table = quiet(installed, "leaderboard", "--papers", "ngweta2024/table3", cwd=tmp_path, env=clean_env())
    assert "0.637" in table


def test_the_core_without_torch_says_which_extra_is_missing(installed, tmp_path):
    done = subprocess.run(
        [installed, "demo", "--ledger", tmp_path / "l.sqlite"],
        capture_output=True, text=True, cwd=tmp_path, env=clean_env(),
    )  # fmt: skip
    assert done.returncode == 2
    assert "not installed: pip install" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_rubrics_ship_and_annotators_say_which_extra_they_need(installed, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"id": "p0", "prompt": "Why?"}\n')
    (tmp_path / "suite.yaml").write_text(
        "name: hand\nversion: 1\nlicence: CC0-1.0\nsources: [{kind: packaged, path: rows.jsonl}]\n"
    )
    text = (
        "name: hand\nsuites: [suite.yaml]\n"
        "models: {m: {engine: openai, model: some}}\nsystems: {s: {upstream: m}, t: {upstream: m}}\n"
        "judges: {j: {kind: rubric, rubric: harmless, model: m}}\n"
        "comparisons: [{candidate: t, baselines: [s]}]\n"
    )
    (tmp_path / "exp.yaml").write_text(text)
    assert "rubric harmless" in quiet(
        installed, "plan", "exp.yaml", cwd=tmp_path, env=clean_env(COLUMNS="200")
    )
    (tmp_path / "exp.yaml").write_text(text.replace("rubric, rubric: harmless", "alpaca_eval"))
    done = subprocess.run(
        [installed, "plan", "exp.yaml"], capture_output=True, text=True, cwd=tmp_path, env=clean_env()
    )
    assert done.returncode == 2
    assert "judge alpaca_eval needs the package alpaca-eval, which is not installed" in done.stderr
