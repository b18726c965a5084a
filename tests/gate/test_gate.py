"""The gate: four exit codes, its arithmetic, its refusals, its policy and all that it writes."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aligner_bench
from aligner_bench.core.errors import UsageError
from aligner_bench.gate.baseline import make_baseline, read_baseline, write_baseline
from aligner_bench.gate.decide import GateReport, decide
from aligner_bench.gate.outputs import as_annotations, as_junit, as_markdown
from aligner_bench.gate.policy import Policy, Rule, read_policy
from aligner_bench.stats.hypothesis_tests import paired_difference
from aligner_bench.store.tables import read_table, write_table
from aligner_bench.verify.verify import verify
from tests.conftest import ROOT
from tests.gate.junit import check_junit
from tests.test_compare import answers, make, right

WHOLE = Policy(rules=(Rule(metrics=("accuracy",), systems=("new",)),))


def changed(hits: list[bool], rng: random.Random, up: int, down: int) -> list[bool]:
    """``up`` wrong ones made right and ``down`` right ones made wrong."""
    new = hits.copy()
    for i in rng.sample([i for i, hit in enumerate(hits) if not hit], up):
        new[i] = True
    for i in rng.sample([i for i, hit in enumerate(hits) if hit], down):
        new[i] = False
    return new


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """old; the same again; 15 points worse; two points worse with many changes."""
    home, rng = tmp_path_factory.mktemp("gate"), random.Random(4)
    up, old = answers(right(rng, 0.5)), right(rng, 0.6)
    kinds = {"old": old, "same": old, "worse": changed(old, rng, 0, 45), "noisy": changed(old, rng, 30, 36)}
    return {name: make(home / name, up, answers(hits)) for name, hits in kinds.items()}


@pytest.fixture(scope="session")
def stored(runs, tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "old.json"
    write_baseline(make_baseline(runs["old"]), path)
    return path


def altered(run: aligner_bench.Run, target: Path, table: str, change) -> aligner_bench.Run:
    shutil.copytree(run.path, target)
    rows = read_table(table, target / f"{table}.parquet")
    for row in rows:
        change(row)
    write_table(table, rows, target / f"{table}.parquet")
    return aligner_bench.Run(target)


@pytest.mark.parametrize(("name", "code"), [("same", 0), ("worse", 1), ("noisy", 3)])
def test_exit_codes(name, code, runs, stored, cli):
    done = cli("gate", runs[name].path, "--baseline", stored)
    assert done.returncode == code, done.stdout + done.stderr
    outcome = {0: "PASS", 1: "FAIL", 3: "INCONCLUSIVE"}[code]
    assert done.stdout.strip().splitlines()[-1].startswith(f"gate: {outcome} (")


def test_usage_errors_end_with_2(runs, stored, command, tmp_path):
    run = runs["same"].path
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    tampered = tmp_path / "tampered.json"
    tampered.write_text(stored.read_text().replace("0.5", "0.6", 1))
    other = tmp_path / "other.json"
    other.write_text("{}")
    cases = {
        (run,): "--baseline FILE is missing",
        (run, "--baseline", tmp_path / "none.json"): "cannot be read",
        (run, "--baseline", broken): "is not JSON",
        (run, "--baseline", other): "is not a gate baseline",
        (run, "--baseline", tampered): "was changed after it was saved",
        (run, "--baseline", stored, "--margin", "0"): "expected points above 0",
        (run, "--baseline", stored, "--junit", tmp_path / "no" / "x.xml"): "no such folder",
        (tmp_path, "--baseline", stored): "is not a run folder",
    }
    for arguments, expected in cases.items():
        done = command("gate", *arguments)
        assert done.returncode == 2, arguments
        assert expected in done.stderr
        assert done.stderr.count("\n") == 1


def test_bounds_are_those_of_contract_11(runs, stored):
    report = decide(runs["noisy"], read_baseline(stored), WHOLE)
    (check,) = report.checks
    after = {
        r["prompt_id"]: float(r["correct"]) for r in runs["noisy"].rows("responses") if r["system"] == "new"
    }
    before = {
        r["prompt_id"]: float(r["correct"]) for r in runs["old"].rows("responses") if r["system"] == "new"
    }
    expected = paired_difference(list(after.values()), [before[p] for p in after], level=0.90)
    assert check.gain.value == pytest.approx(-0.02)
    assert (check.gain.lower, check.gain.upper) == pytest.approx((expected.lower, expected.upper))
    assert check.gain.lower < -0.03 <= check.gain.upper
    assert check.outcome == "inconclusive"
    assert check.n_to_decide > 300
    assert f"about {check.n_to_decide:,} prompts would decide" in check.sentence
    assert decide(runs["noisy"], read_baseline(stored), WHOLE, margin=10).outcome == "pass"


def test_less_is_better_for_damage(runs, stored):
    policy = Policy(rules=(Rule(metrics=("damage",), systems=("new",)),))
    (check,) = decide(runs["worse"], read_baseline(stored), policy).checks
    assert check.after > check.before
    assert check.gain.value < 0
    assert check.outcome == "fail"


def test_another_judge_is_refused(runs, stored, command, tmp_path):
    other = altered(runs["same"], tmp_path / "r", "judges", lambda row: row.update(identity="f" * 64))
    done = command("gate", other.path, "--baseline", stored)
    assert done.returncode == 2
    assert "judge 'facts' is a different judge in the baseline" in done.stderr
    assert decide(other, read_baseline(stored), WHOLE).outcome == "pass"  # accuracy asks no judge


def test_other_prompts_are_refused(runs, stored, command, tmp_path):
    other = tmp_path / "r"
    shutil.copytree(runs["same"].path, other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["facts"]["suites"][0]["content_hash"] = "f" * 64
    (other / "manifest.json").write_text(json.dumps(manifest))
    done = command("gate", other, "--baseline", stored)
    assert done.returncode == 2
    assert "suite 'hand' has different prompts in the baseline" in done.stderr


def test_a_judge_without_power_is_not_gated(runs, stored, tmp_path):
    weak = altered(runs["worse"], tmp_path / "r", "judges", lambda row: row.update(needs_audit=True))
    report = decide(weak, read_baseline(stored), Policy())
    assert {check.judge for check in report.checks} == {""}
    assert "judge 'facts' has no discriminating power" in report.left_out[0]
    named = Policy(rules=(Rule(metrics=("win_rate",), judges=("facts",)),))
    with pytest.raises(UsageError, match="no discriminating power"):
        decide(weak, read_baseline(stored), named)
    with pytest.raises(UsageError, match="nothing is left to gate"):
        decide(weak, read_baseline(stored), Policy(rules=(Rule(metrics=("win_rate",)),)))


def test_a_gate_cannot_be_dodged_by_leaving_a_system_out(runs, stored, tmp_path):
    def rename(column):
        return lambda row: row.update({column: row[column].replace("new", "newer")})

    half = altered(runs["worse"], tmp_path / "half", "responses", rename("system"))
    other = altered(half, tmp_path / "whole", "verdicts", rename("candidate"))
    with pytest.raises(UsageError, match=r"lacks the accuracy of new \(hand\), which the baseline has"):
        decide(other, read_baseline(stored), WHOLE)
    report = decide(
        other, read_baseline(stored), Policy(rules=(Rule(metrics=("accuracy",), systems=("base",)),))
    )
    assert "newer (hand): is not in the baseline" in report.left_out


def test_policy_errors_name_file_line_and_field(runs, stored, command, tmp_path):
    path = tmp_path / "policy.yaml"
    cases = {
        "rules:\n  - metrics: [acuracy]\n": ":2: rules.0.metrics.0: unknown metric; did you mean 'accuracy'?",
        "margin: 0\n": ":1: margin",
        "rules:\n  - {metrics: damage, margn: 3}\n": ":2: rules.0.margn: unknown key; did you mean 'margin'?",
        "rules:\n  - metrics: damage\n    systems: [nwe]\n": ":3: rules.0.systems: the baseline has no 'nwe'",
        "rules: [\n": ":",
    }
    for text, expected in cases.items():
        path.write_text(text)
        done = command("gate", runs["same"].path, "--baseline", stored, "--policy", path)
        assert done.returncode == 2, text
        assert f"policy.yaml{expected}" in done.stderr


def test_margins_families_and_advice_of_a_policy(runs, stored, tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(
        "margin: 2\n"
        "rules:\n"
        "  - {metrics: [accuracy, win_rate], systems: [new], family: main}\n"
        "  - {metrics: accuracy, systems: [new], margin: 20, family: main}\n"
        "  - {metrics: damage, advisory: true}\n"
    )
    policy, _ = read_policy(path)
    report = decide(runs["worse"], read_baseline(stored), policy)
    found = {(c.metric, c.system): c for c in report.checks}
    assert found["accuracy", "new"].margin == 0.20
    assert found["accuracy", "new"].outcome == "pass"
    wins = found["win_rate", "new"]
    assert (wins.margin, wins.family, wins.outcome) == (0.02, "main", "fail")
    assert wins.p_adjusted >= wins.p_fail
    assert found["damage", "new"].outcome == "fail"
    only_advice = Policy(rules=(Rule(metrics=("damage",), advisory=True),))
    assert decide(runs["worse"], read_baseline(stored), only_advice).exit_code == 0


@pytest.fixture(scope="session")
def crowded(tmp_path_factory):
    """14 categories of 50 prompts, with as many answers made right as wrong."""
    home, rng = tmp_path_factory.mktemp("crowded"), random.Random(9)
    up = ["no"] * 700
    old = [rng.random() < 0.6 for _ in range(700)]
    pair = [
        make(home / name, up, answers(hits)) for name, hits in (("a", old), ("b", changed(old, rng, 40, 40)))
    ]

    def spread(row):
        row["category"] = f"c{int(row['prompt_id'][1:]) % 14:02}"

    return [altered(run, home / f"{run.path.parent.name}14", "prompts", spread) for run in pair]


def test_fourteen_categories_of_fifty_are_inconclusive_and_it_says_what_would_decide(crowded):
    old, new = crowded
    policy = Policy(
        rules=(Rule(metrics=("accuracy",), systems=("new",), by_category=True, advisory=True), WHOLE.rules[0])
    )
    report = decide(new, make_baseline(old), policy)
    parts = [check for check in report.checks if check.category is not None]
    assert [check.n for check in parts] == [50] * 14
    assert sum(check.outcome == "inconclusive" for check in parts) >= 12
    assert not any(check.outcome == "fail" for check in parts)
    assert "14 categories of about 50 prompts nearly always are" in report.notes[0]
    assert "prompts in each" in report.notes[0]
    assert len({check.family for check in parts}) == 1


def test_holm_guards_categories_against_chance(crowded, tmp_path):
    """A category whose loss is shown at 5 % by itself is not, as one of fourteen."""
    old, _ = crowded
    lost = iter(range(7))

    def lose_seven(row):
        seventh = int(row["prompt_id"][1:]) % 14 == 3
        if row["system"] == "new" and row["correct"] and seventh and next(lost, None) is not None:
            row |= {"text": "no", "correct": False}

    new = altered(old, tmp_path / "r", "responses", lose_seven)
    rule = Rule(metrics=("accuracy",), systems=("new",), by_category=True, margin=5)
    alone = rule.model_copy(update={"categories": ("c03",)})
    (check,) = decide(new, make_baseline(old), Policy(rules=(alone,))).checks
    assert (check.gain.value, check.outcome) == (pytest.approx(-0.14), "fail")
    parts = decide(new, make_baseline(old), Policy(rules=(rule,))).checks
    found = next(part for part in parts if part.category == "c03")
    assert found.gain.upper == check.gain.upper < -found.margin
    assert found.outcome == "inconclusive"
    assert "not after Holm's correction" in found.sentence


def test_refusals_are_gated_only_where_a_rule_names_them(runs, stored, tmp_path):
    def refuse(row):
        if row["system"] == "new":
            row["text"] = "I'm sorry, but I can't help with that."

    refusing = altered(runs["same"], tmp_path / "r", "responses", refuse)
    rule = Rule(metrics=("refusals",), systems=("new",))
    (check,) = decide(refusing, read_baseline(stored), Policy(rules=(rule,))).checks
    assert (check.before, check.after, check.outcome) == (0.0, 1.0, "fail")
    assert all(c.metric != "refusals" for c in decide(runs["same"], read_baseline(stored), Policy()).checks)


def test_the_length_controlled_rate_is_gated_without_pairs(runs, stored):
    policy = Policy(rules=(Rule(metrics=("lc",), systems=("new",)),))
    (check,) = decide(runs["worse"], read_baseline(stored), policy).checks
    assert not check.paired
    rates = {
        n: next(r for r in runs[n].results().rows if r.system == "new").length.rate for n in ("old", "worse")
    }
    assert check.before == pytest.approx(rates["old"].value)
    assert check.gain.value == pytest.approx(rates["worse"].value - rates["old"].value)
    assert check.gain.lower < check.gain.value < check.gain.upper


def test_what_it_writes(runs, stored, command, tmp_path):
    junit, summary = tmp_path / "gate.xml", tmp_path / "summary.md"
    done = command(
        "gate", runs["worse"].path, "--baseline", stored, "--junit", junit, "--summary", summary,
        "--format", "json", GITHUB_ACTIONS="true",
    )  # fmt: skip
    assert done.returncode == 1
    report = GateReport.model_validate_json(done.stdout)
    root = check_junit(junit.read_text("utf-8"))
    failed = sum(check.outcome == "fail" for check in report.checks)
    assert len(root.findall(".//failure")) == failed > 0
    assert len(root.findall(".//testcase")) == len(report.checks)
    text = summary.read_text("utf-8")
    assert text.startswith("## ❌ aligner-bench gate: hand against hand")
    assert text.count("| ❌ fail |") == failed
    assert done.stderr.count("::error title=") == failed


def test_a_github_summary_is_added_to(runs, stored, command, tmp_path):
    summary = tmp_path / "summary.md"
    summary.write_text("what another step wrote\n")
    arguments = ("gate", runs["same"].path, "--baseline", stored, "--summary", summary)
    assert command(*arguments, GITHUB_STEP_SUMMARY=str(summary)).returncode == 0
    assert summary.read_text().startswith("what another step wrote\n## ✅")
    assert command(*arguments, GITHUB_STEP_SUMMARY="").returncode == 0
    assert summary.read_text().startswith("## ✅")


def test_hostile_names_stay_text(runs, tmp_path):
    hostile = "a::error::b%0A,<b>|\x1b[31m\x00]]>"

    def rename(row):
        row["category"] = hostile

    old, new = (altered(runs[name], tmp_path / name, "prompts", rename) for name in ("old", "worse"))
    rule = Rule(metrics=("accuracy",), systems=("new",), by_category=True)
    report = decide(new, make_baseline(old), Policy(rules=(rule,)))
    root = check_junit(as_junit(report))
    assert "<b>" in root.find(".//testcase").get("name")
    (line,) = as_annotations(report)
    assert line.startswith("::error title=")
    assert "\n" not in line
    assert "%250A" in line
    row = next(text for text in as_markdown(report).splitlines() if text.startswith("| ❌"))
    assert row.replace("\\|", "").count("|") == 6
    assert "\x1b" not in row


def test_a_baseline_is_saved_only_if_the_gate_passes(runs, stored, command, tmp_path):
    path = tmp_path / "next.json"
    assert command("gate", runs["worse"].path, "--baseline", stored, "--save-baseline", path).returncode == 1
    assert not path.exists()
    assert command("gate", runs["same"].path, "--baseline", stored, "--save-baseline", path).returncode == 0
    assert path.read_bytes() == stored.read_bytes()
    assert command("gate", runs["worse"].path, "--save-baseline", path).returncode == 0
    assert read_baseline(path).series != read_baseline(stored).series


def test_a_baseline_holds_no_text(stored):
    text = stored.read_text("utf-8")
    assert "Question" not in text
    assert '"yes"' not in text


def test_verify_checks_a_baseline_against_its_run(runs, stored, command, tmp_path):
    assert verify(runs["old"].path, baseline=stored).ok
    other = tmp_path / "other.json"
    write_baseline(make_baseline(runs["worse"]), other)
    done = command("verify", runs["old"].path, "--baseline", other)
    assert done.returncode == 1
    assert "other.json: series[" in done.stdout
    other.write_text(stored.read_text().replace("0.5", "0.6", 1))
    assert "was changed after it was saved" in verify(runs["old"].path, baseline=other).differences[0]


def action(run: Path, baseline: Path, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """The composite action's script, with the variables that action.yml and GitHub set."""
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(home / "summary.md"),
        "GITHUB_OUTPUT": str(home / "output"),
        "GATE_RUN": str(run),
        "GATE_BASELINE": str(baseline),
        "GATE_PYTHON": sys.executable,
        "GATE_JUNIT": str(home / "gate.xml"),
        **settings,
    }
    script = [str(ROOT / ".github" / "gate.sh")]
    return subprocess.run(script, env=variables, cwd=home, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize(
    ("name", "settings", "code", "outcome"),
    [
        ("same", {}, 0, "pass"),
        ("worse", {}, 1, "fail"),
        ("noisy", {}, 3, "inconclusive"),
        ("noisy", {"GATE_ON_INCONCLUSIVE": "warn"}, 0, "inconclusive"),
        ("noisy", {"GATE_MARGIN": "20"}, 0, "pass"),
    ],
)
def test_the_actions_script(name, settings, code, outcome, runs, stored, tmp_path):
    done = action(runs[name].path, stored, tmp_path, **settings)
    assert done.returncode == code, done.stdout + done.stderr
    assert (tmp_path / "output").read_text() == f"outcome={outcome}\n"
    assert "aligner-bench gate" in (tmp_path / "summary.md").read_text("utf-8")
    check_junit((tmp_path / "gate.xml").read_text("utf-8"))


def test_the_actions_script_stops_at_an_edited_run_and_at_bad_settings(runs, stored, tmp_path):
    edited = altered(runs["same"], tmp_path / "r", "verdicts", lambda row: row.update(preference=1.0))
    assert action(edited.path, stored, tmp_path).returncode == 1
    assert not (tmp_path / "output").exists()
    assert action(runs["same"].path, stored, tmp_path, GATE_ON_INCONCLUSIVE="maybe").returncode == 2
    assert action(runs["same"].path, tmp_path / "none.json", tmp_path).returncode == 2


def test_the_action_hands_every_input_to_its_script():
    import yaml

    described = yaml.safe_load((ROOT / "action.yml").read_text())
    step = described["runs"]["steps"][-1]
    passed = {value.removeprefix("${{ inputs.").removesuffix(" }}") for value in step["env"].values()}
    assert passed == set(described["inputs"]) - {"install"}
    script = (ROOT / ".github" / "gate.sh").read_text()
    assert all(name in script for name in step["env"])
    example = yaml.safe_load((ROOT / ".github" / "workflows" / "example.yml").read_text())
    used = next(s for s in example["jobs"]["gate"]["steps"] if s.get("uses") == "./")
    assert set(used["with"]) <= set(described["inputs"])
