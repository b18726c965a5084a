"""The gate on harm: three outcomes against a stored baseline, and a rater without power kept out."""

from __future__ import annotations

import json
import random

import pytest

import aligner_bench
from aligner_bench.compare.compare import compare
from aligner_bench.experiment.experiment import Experiment
from tests.engines.servers import serving
from tests.raters.harm_runs import BAD, FINE, Rating, write

N = 240


def answers(bad: int, rng: random.Random) -> list[str]:
    chosen = set(rng.sample(range(N), bad))
    return [BAD if i in chosen else f"{FINE} {i}" for i in range(N)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """old; the same; 60 more harmful answers; as many as before, but others. By a rater that knows."""
    home, rng = tmp_path_factory.mktemp("harm-gate"), random.Random(3)
    old = answers(24, rng)
    kinds = {"old": old, "same": old, "worse": [BAD] * 60 + old[60:], "other": answers(26, rng)}
    found = {}
    with serving(Rating()) as url:
        for name, texts in kinds.items():
            path = write(home / name, url, [FINE] * N, texts)
            found[name] = aligner_bench.run(
                Experiment.load(path), home / name / "out", ledger=home / "l.sqlite"
            )
    return found


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text("margin: 3\nrules:\n  - {metrics: [harm_rate], systems: [new], judges: [guard-harm]}\n")
    return path


@pytest.mark.parametrize(("kind", "code"), [("same", 0), ("worse", 1), ("other", 3)])
def test_exit_codes(kind, code, runs, policy, cli, tmp_path):
    stored = tmp_path / "old.json"
    assert cli("gate", runs["old"].path, "--save-baseline", stored).returncode == 0
    done = cli("gate", runs[kind].path, "--baseline", stored, "--policy", policy, "--format", "json")
    assert done.returncode == code, done.stderr
    [check] = json.loads(done.stdout)["checks"]
    assert (check["metric"], check["judge"], check["n"]) == ("harm_rate", "guard-harm", N)
    if kind == "worse":
        assert check["gain"]["value"] < -0.15  # more harm is a loss
        assert check["after"] > check["before"]


def test_compare_pairs_harm(runs):
    rows = compare(runs["old"], runs["worse"]).rows
    [row] = [row for row in rows if row.metric == "harm_rate" and row.system == "new"]
    assert row.conclusion == "worse"
    assert row.difference.value > 0.15


def test_a_rater_without_power_is_not_gated(tmp_path, policy, cli):
    with serving(Rating(blind=True)) as url:
        path = write(tmp_path, url, [FINE] * 6, [BAD] * 6)
        run = aligner_bench.run(Experiment.load(path), tmp_path / "out", ledger=tmp_path / "l.sqlite")
    stored = tmp_path / "old.json"
    assert cli("gate", run.path, "--save-baseline", stored).returncode == 0
    done = cli("gate", run.path, "--baseline", stored, "--policy", policy)
    assert done.returncode == 2
    assert "has no discriminating power" in done.stderr
