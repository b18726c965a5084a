"""``compare``: it finds a planted difference, finds none where there is none, and refuses other judges."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

import aligner_bench
from aligner_bench.compare.compare import RunComparison, compare
from aligner_bench.core.errors import UsageError
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.store.tables import read_table, write_table
from tests.test_replayed_run import HOSTILE, write_experiment

N = 300


def right(rng: random.Random, share: float) -> list[bool]:
    """Exactly ``share`` of N prompts, in random places."""
    hits = [i < round(share * N) for i in range(N)]
    rng.shuffle(hits)
    return hits


def answers(hits: list[bool]) -> list[str]:
    return ["yes" if hit else "no" for hit in hits]


def make(home: Path, before: list[str], after: list[str], references=None) -> aligner_bench.Run:
    home.mkdir(parents=True, exist_ok=True)
    n = len(before)
    categories = [("odd", "even", "third")[i % 3] for i in range(n)]
    path = write_experiment(home, before, after, references or [["yes"]] * n, categories=categories)
    return aligner_bench.run(Experiment.load(path), home / "out", ledger=home / "l.sqlite")


@pytest.fixture(scope="session")
def three(tmp_path_factory):
    """Three runs that differ in the corrector: B is 10 points better than A, Z is as good as A."""
    home, rng = tmp_path_factory.mktemp("three"), random.Random(20)
    up = answers(right(rng, 0.5))
    a = right(rng, 0.60)
    b, z = a.copy(), a.copy()
    wrong = [i for i, hit in enumerate(a) if not hit]
    kept = [i for i, hit in enumerate(a) if hit]
    for i in rng.sample(wrong, 45):
        b[i] = True
    for i in rng.sample(kept, 15):
        b[i] = False
    for i in (*rng.sample(wrong, 30), *rng.sample(kept, 30)):
        z[i] = not z[i]
    return {name: make(home / name, up, answers(hits)) for name, hits in (("a", a), ("b", b), ("z", z))}


def row(found: RunComparison, metric: str, system: str = "new"):
    return next(r for r in found.rows if (r.metric, r.system) == (metric, system))


def test_a_planted_difference_of_ten_points_is_found(three):
    found = compare(three["a"], three["b"])
    accuracy, wins = row(found, "accuracy"), row(found, "win_rate")
    assert accuracy.difference.value == pytest.approx(0.10)
    assert accuracy.conclusion == wins.conclusion == "better"
    assert accuracy.adjustment == "holm"
    assert accuracy.p_adjusted >= accuracy.p_value
    assert accuracy.difference.lower > 0
    assert len([f for f in found.flips if (f.metric, f.system) == ("accuracy", "new")]) == 60
    assert row(compare(three["b"], three["a"]), "accuracy").conclusion == "worse"


def test_a_planted_zero_is_not_found(three):
    found = compare(three["a"], three["z"])
    assert row(found, "accuracy").difference.value == pytest.approx(0.0)
    assert {r.conclusion for r in found.rows} == {"no_difference_found", "same_answers"}
    assert all(r.conclusion != "better" for r in found.categories)
    assert row(found, "accuracy", "base").conclusion == "same_answers"
    assert "would show" in row(found, "accuracy").sentence


def test_families_are_declared(three):
    each = compare(three["a"], three["b"], family="each")
    assert row(each, "accuracy").p_adjusted == row(each, "accuracy").p_value
    together = compare(three["a"], three["b"], family="all")
    assert {r.family for r in together.rows if r.adjustment == "holm"} == {"all"}
    assert {r.adjustment for r in together.categories if r.family} == {"benjamini-hochberg"}
    assert {r.category for r in together.categories} == {"odd", "even", "third"}
    by_metric = compare(three["a"], three["b"], family="metric")
    assert {r.family for r in by_metric.rows if r.family} == {"metric accuracy", "metric win_rate"}


def test_fewer_is_better_for_damage(three):
    found = compare(three["a"], three["b"], metrics=["damage", "repair"], family="each")
    damage = row(found, "damage")
    assert damage.after < damage.before
    assert damage.conclusion in ("better", "no_difference_found")


def test_every_format(three, cli, tmp_path):
    a, b = three["a"].path, three["b"].path
    table = cli("compare", a, b)
    assert table.returncode == 0, table.stderr
    assert "better" in table.stdout
    assert "flips:" in table.stdout
    data = json.loads(cli("compare", a, b, "--format", "json").stdout)
    assert RunComparison.model_validate(data) == compare(three["a"], three["b"])
    markdown = cli("compare", a, b, "--format", "md").stdout
    assert markdown.count("| accuracy | hand |") == 3
    page = tmp_path / "c.html"
    assert cli("compare", a, b, "--format", "html", "-o", page).returncode == 0
    html = page.read_text("utf-8")
    assert html.count("<details>") == len(data["flips"])
    assert "<script" not in html
    assert cli("compare", a, b, "-o", page).returncode == 2
    assert cli("compare", a, b, "--metric", "acuracy").stderr.count("did you mean 'accuracy'?") == 1


def test_families_of_prompts_widen_the_interval(three, tmp_path):
    """The same rows with prompts in families of ten: the families are the unit."""
    runs = []
    for name in ("a", "b"):
        target = Path(shutil.copytree(three[name].path, tmp_path / name))
        prompts = read_table("prompts", target / "prompts.parquet")
        for i, prompt in enumerate(prompts):
            prompt["family"] = f"f{i // 10}"
        write_table("prompts", prompts, target / "prompts.parquet")
        runs.append(aligner_bench.Run(target))
    accuracy = row(compare(*runs), "accuracy")
    assert accuracy.difference.method == "cluster t"
    assert accuracy.difference.n == N


def altered(run: aligner_bench.Run, target: Path, judge: str | None = None, suite: str | None = None):
    shutil.copytree(run.path, target)
    if judge:
        rows = [{**r, "identity": judge} for r in read_table("judges", target / "judges.parquet")]
        write_table("judges", rows, target / "judges.parquet")
    if suite:
        manifest = json.loads((target / "manifest.json").read_text())
        manifest["facts"]["suites"][0]["content_hash"] = suite
        (target / "manifest.json").write_text(json.dumps(manifest))
    return aligner_bench.Run(target)


def test_another_judge_is_refused_for_its_comparisons(three, tmp_path):
    found = compare(three["a"], altered(three["b"], tmp_path / "j", judge="f" * 64))
    assert "judge 'facts' is a different judge" in found.refused[0]
    assert {r.metric for r in found.rows} == {"accuracy"}


def test_other_prompts_are_refused(three, tmp_path, cli):
    other = altered(three["b"], tmp_path / "s", suite="f" * 64)
    with pytest.raises(UsageError, match="suite 'hand' has different prompts"):
        compare(three["a"], other)
    done = cli("compare", three["a"].path, other.path)
    assert done.returncode == 2
    assert "different prompts" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_renamed_system(three, tmp_path):
    path = tmp_path / "exp"
    shutil.copytree(three["b"].path.parent, path)
    file = path / "exp.yaml"
    file.write_text(
        file.read_text().replace("  new:", "  newer:").replace("candidate: new,", "candidate: newer,")
    )
    newer = aligner_bench.run(Experiment.load(file), path / "out2", ledger=path / "l.sqlite")
    found = compare(three["a"], newer, renamed={"new": "newer"})
    assert row(found, "accuracy", "newer").conclusion == "better"
    plain = compare(three["a"], newer)
    assert any("only in" in note and "newer" in note for note in plain.notes)
    with pytest.raises(UsageError, match="did you mean 'new'"):
        compare(three["a"], newer, renamed={"nwe": "newer"})


def test_hostile_answers_are_only_text(tmp_path):
    from aligner_bench.compare.show import as_html, as_markdown

    n = len(HOSTILE)
    a = make(tmp_path / "a", ["no"] * n, ["no"] * n)
    b = make(tmp_path / "b", ["no"] * n, [f"yes {text}" for text in HOSTILE])
    found = compare(a, b)
    assert len(found.flips) >= n
    html = as_html(found)
    assert "<script>window" not in html
    assert "<img" not in html
    assert "\u202e" not in html
    assert "{{ 7 * 7 }}" in html
    html.encode("utf-8")
    assert "<script" not in as_markdown(found)
