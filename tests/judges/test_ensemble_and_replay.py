"""Ensembles count their members and say how far they agree; recorded verdicts are a judge of their own."""

from __future__ import annotations

import json

import pytest

import aligner_bench
from aligner_bench.core.errors import UsageError
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.runner.plan import make_plan
from aligner_bench.stats.agreement import krippendorff_alpha
from aligner_bench.verify.verify import verify
from tests.engines.servers import serving
from tests.judges.test_rubric import Server, write

RUBRIC = """\
name: {name}
user: |
  A: {{answer_a}}
  B: {{answer_b}}
  Say why ({name}) to {{prompt}}: [[responseA]], [[responseB]], [[Equal]]
decoding: {{max_new_tokens: 9}}
"""
NEW = ["longer text", "short", "bbbb", "good one", "fails for all", "same", "mute for two", "mute for one"]
OLD = ["x", "a longer text", "aaaa", "y", "z", "same", "u", "v"]


def member(first, second, body):
    """Three judges by name: by length, by the alphabet, and one that often fails."""
    text = body["messages"][-1]["content"]
    name = text.split("Say why (")[1].split(")")[0]
    fails = {"length": ("fails",), "letters": ("fails", "mute for two"), "moody": ("fails", "mute")}[name]
    if any(first.startswith(word) or second.startswith(word) for word in fails):
        return "hm"
    key = len if name == "length" else str
    a, b = key(first), key(second)
    return "[[responseA]]" if a > b else "[[responseB]]" if b > a else "[[Equal]]"


def experiment(home, url, rule="majority", more="", comparisons=""):
    names = ("length", "letters", "moody")
    for name in names:
        (home / f"{name}.yaml").write_text(RUBRIC.format(name=name))
    members = "".join(
        f"  {name}: {{kind: rubric, rubric: {name}.yaml, model: writer, audit_pairs: 4}}\n" for name in names
    )
    ensemble = f"  panel: {{kind: ensemble, judges: [length, letters, moody], rule: {rule}}}\n"
    return write(home, url, ensemble + members + more, NEW, OLD, comparisons)


def run(path, out="out", ledger="l.sqlite"):
    return aligner_bench.run(Experiment.load(path), path.parent / out, ledger=path.parent / ledger)


@pytest.fixture
def judged(tmp_path):
    server = Server(say=member)
    with serving(server) as url:
        done = run(experiment(tmp_path, url))
    return done, server


def verdict_of(done, judge):
    return {row["prompt_id"]: row for row in done.rows("verdicts") if row["judge"] == judge}


def test_majority_of_members_that_judged(judged):
    done, server = judged
    found = verdict_of(done, "panel")
    values = [found[f"p{i}"]["preference"] for i in range(len(NEW))]
    # p0 is longer, but earlier in the alphabet; p1 the other way round; p6: two of three failed, p7: one.
    assert values == [0.0, 1.0, 1.0, 0.0, None, 0.5, None, 0.5]
    assert [found[f"p{i}"]["status"] for i in (4, 5, 6)] == ["unparsable", "tie", "unparsable"]
    assert "members disagree: length 1.000, letters 0.000, moody 0.000" in found["p0"]["detail"]
    assert "1 of 3 members judged" in found["p6"]["detail"]
    assert all((row["order"], row["calls"], row["cost"]) == ("none", 0, 0.0) for row in found.values())
    assert len(server.bodies) == 3 * 2 * (len(NEW) - 1 + 4)  # members are asked once, failures included
    assert not verify(done.path).differences


def test_agreement_of_the_members_is_reported(judged, cli):
    done, _ = judged
    power = {judge.judge: judge for judge in done.results().judges}
    assert power["length"].panel is None
    panel = power["panel"].panel
    sides = {
        judge: {p: row["preference"] for p, row in verdict_of(done, judge).items()} for judge in panel.members
    }
    columns = [[_side(sides[judge][f"p{i}"]) for i in range(len(NEW)) if i != 5] for judge in panel.members]
    expected = krippendorff_alpha(columns, scale="interval")
    assert (panel.alpha.value, panel.alpha.n) == (pytest.approx(expected.value), 5)
    assert panel.n_split == 4  # p0, p1, p3 and p7
    shown = cli("leaderboard", done.path)
    assert f"its members agree to alpha {expected.value:.2f}" in " ".join(shown.stdout.split())
    assert "members' alpha" in done.report().read_text("utf-8")


def _side(value):
    return None if value is None else (value > 0.5) - (value < 0.5)


def test_mean_of_members(tmp_path):
    with serving(Server(say=member)) as url:
        done = run(experiment(tmp_path, url, "mean"))
    values = [row["preference"] for row in verdict_of(done, "panel").values()]
    assert values == pytest.approx([1 / 3, 2 / 3, 5 / 6, 1 / 3, None, 0.5, None, 0.5])


def test_naming_the_ensemble_names_its_members(tmp_path):
    with serving(Server(say=member)) as url:
        path = experiment(tmp_path, url)
        path.write_text(path.read_text().replace("baselines: [base]}", "baselines: [base], judges: [panel]}"))
        done = run(path)
    assert {row["judge"] for row in done.rows("verdicts")} == {"panel", "length", "letters", "moody"}


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("  top: {kind: ensemble, judges: [panel, length]}\n", "panel is an ensemble itself"),
        ("  top: {kind: ensemble, judges: [length, length]}\n", "names a judge twice"),
        ("  top: {kind: ensemble, judges: [length, leters]}\n", "did you mean 'letters'?"),
        ("  top: {kind: ensemble, judges: [length]}\n", "judges.top.judges"),
        ("  top: {kind: replay, path: old.jsonl}\n", "call it recorded-top"),
        ("  recorded-top: {kind: replay, path: nowhere}\n", "nowhere: no such file or folder"),
        ("  recorded-top: {kind: replay, path: old.jsonl}\n", "expected a run folder"),
    ],
)
def test_errors_are_one_line(tmp_path, more, problem):
    path = experiment(tmp_path, "http://127.0.0.1:9/v1", more=more)
    with pytest.raises(UsageError) as caught:
        make_plan(Experiment.load(path))
    [line] = str(caught.value).splitlines()
    assert problem in line


@pytest.mark.parametrize("judge", ["length", "panel"])
def test_a_run_scored_again_from_its_record_gives_the_same_numbers(judged, tmp_path, judge):
    """Offline: the server is gone. Everything but the judge's name, kind and identity is as it was."""
    done, _ = judged
    text = (tmp_path / "exp.yaml").read_text()
    begin, end = text.index("judges:\n"), text.index("comparisons:")
    record = f"judges:\n  recorded-{judge}: {{kind: replay, path: out, judge: {judge}}}\n"
    again = tmp_path / "again.yaml"
    again.write_text(text[:begin] + record + text[end:])
    second = run(again, "again", "other.sqlite")
    first_row = next(row for row in done.results().rows if row.judge == judge)
    [row] = second.results().rows
    aside = {"judge", "sentence"}
    assert row.model_dump(exclude=aside) == first_row.model_dump(exclude=aside)
    [power] = second.results().judges
    before = next(one for one in done.results().judges if one.judge == judge)
    aside = {"judge", "kind", "identity", "description", "sentence", "panel"}
    assert power.model_dump(exclude=aside) == before.model_dump(exclude=aside)
    assert (power.kind, power.judge) == ("recorded", f"recorded-{judge}")
    assert power.description.startswith(f"recorded verdicts of {judge} (")
    assert power.identity != before.identity
    assert sum(row["calls"] for row in second.rows("verdicts")) == 0
    assert not verify(second.path).differences


def test_other_texts_have_no_recorded_verdict(judged, tmp_path):
    path = tmp_path / "exp.yaml"
    (tmp_path / "new.jsonl").write_text(
        "".join(
            json.dumps({"prompt_id": f"p{i}", "output": text + ("!" if i == 0 else "")}) + "\n"
            for i, text in enumerate(NEW)
        )
    )
    text = path.read_text()
    begin, end = text.index("judges:\n"), text.index("comparisons:")
    record = "judges:\n  recorded: {kind: replay, path: out/verdicts.parquet, judge: length}\n"
    path.write_text(text[:begin] + record + text[end:])
    found = verdict_of(run(path, "again", "other.sqlite"), "recorded")
    assert (found["p0"]["status"], found["p0"]["preference"]) == ("missing", None)
    assert found["p1"]["preference"] == 0.0


def test_several_recorded_judges_must_be_told_apart(judged, tmp_path):
    path = tmp_path / "exp.yaml"
    text = path.read_text()
    begin, end = text.index("judges:\n"), text.index("comparisons:")
    for named, problem in (("", "choose one with judge:"), (", judge: lenght", "did you mean 'length'?")):
        path.write_text(
            text[:begin] + f"judges:\n  recorded: {{kind: replay, path: out{named}}}\n" + text[end:]
        )
        with pytest.raises(UsageError, match=problem):
            run(path, "again")


def test_alpaca_evals_annotations_are_a_judge(tmp_path, shared_data):
    """GPT-4's own verdicts on 20 real pairs, and no claim that they were tried here."""
    folder = shared_data / "alpaca_eval/results/phi-2/weighted_alpaca_eval_gpt4_turbo"
    rows = json.loads((folder / "annotations.json").read_text())[:20]
    record = f"  recorded-gpt4: {{kind: replay, path: '{folder / 'annotations.json'}'}}\n"
    new, old = [row["output_2"] for row in rows], [row["output_1"] for row in rows]
    path = write(tmp_path, "http://127.0.0.1:9/v1", record, new, old)
    prompts = [{"id": f"p{i}", "prompt": row["instruction"]} for i, row in enumerate(rows)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    done = run(path)
    found = verdict_of(done, "recorded-gpt4")
    assert [found[f"p{i}"]["preference"] for i in range(20)] == pytest.approx(
        [row["preference"] - 1 for row in rows]
    )
    [power] = done.results().judges
    assert (power.kind, power.has_power, power.not_audited) == ("recorded", False, True)
    assert "recorded verdicts by a judge not tried here" in power.sentence
    assert done.results().rows[0].conclusion == "not_audited"
    assert not verify(done.path).differences
