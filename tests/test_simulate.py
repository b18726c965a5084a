"""The synthetic squad of Ngweta et al.: three regimes, any number of styles, a plot each."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

pytest.importorskip("sklearn")

from aligner_bench.core.errors import UsageError
from aligner_bench.simulate.squad import Setting, simulate


def test_the_three_regimes_as_the_command_prints_them(cli, tmp_path):
    done = cli("simulate", "squad", "--format", "json", "-o", tmp_path / "plots")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == ["independent", "in_sync", "conflict"]
    assert all(set(one) == {"reached", "steps"} for one in found.values())
    assert found["independent"]["reached"] >= 0.95
    assert found["independent"]["steps"]["2"] >= 0.95
    assert found["in_sync"]["steps"]["1"] >= 0.95
    assert found["conflict"] == {"reached": 0.0, "steps": {"1": 0.0, "2": 0.0, "3": 0.0, "4": 0.0, "5": 1.0}}
    for one in found.values():
        assert sum(one["steps"].values()) == pytest.approx(1)
    for name in found:
        root = ET.fromstring((tmp_path / "plots" / f"squad-{name}.svg").read_text())
        text = "".join(root.itertext())
        assert "threshold0.9" in text
        # 40 faint and one bold trajectory for each of two styles
        assert len(root.findall(".//{http://www.w3.org/2000/svg}polyline")) == 82


@pytest.mark.parametrize("seed", [1, 2])
def test_other_seeds_tell_the_same(seed):
    setting = Setting(seed=seed)
    assert simulate("independent", setting).summary()["steps"]["2"] >= 0.95
    assert simulate("in_sync", setting).summary()["steps"]["1"] >= 0.95
    assert simulate("conflict", setting).summary()["reached"] == 0


def test_independent_styles_need_one_step_each():
    outcome = simulate("independent", Setting(styles=4, points=40))
    assert outcome.summary()["steps"]["4"] >= 0.9
    assert simulate("conflict", Setting(styles=3, points=40)).summary()["reached"] == 0


def test_in_conflict_the_two_aligners_undo_each_other_in_turn():
    outcome = simulate("conflict", Setting(points=20))
    lowest = outcome.scores[:-1].argmin(axis=2)
    assert (lowest[1:] != lowest[:-1]).mean() > 0.9


def test_a_point_stops_once_it_passes_and_the_same_seed_gives_the_same():
    outcome = simulate("independent", Setting(points=20))
    again = simulate("independent", Setting(points=20))
    np.testing.assert_array_equal(outcome.scores, again.scores)
    for point, steps in enumerate(outcome.steps):
        assert (outcome.scores[steps, point] >= 0.9).all()
        assert np.isnan(outcome.scores[steps + 1 :, point]).all()
        assert (outcome.scores[:steps, point] < 0.9).any(axis=1).all()


def test_bad_settings_are_one_line(cli):
    done = cli("simulate", "squad", "--regime", "independant")
    assert done.returncode == 2
    assert done.stderr == "aligner-bench: unknown regime 'independant': did you mean 'independent'?\n"
    with pytest.raises(UsageError, match="--styles 1: expected 2 to 50"):
        simulate("in_sync", Setting(styles=1))
    with pytest.raises(UsageError, match="--threshold 1"):
        simulate("in_sync", Setting(threshold=1.0))
