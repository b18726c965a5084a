"""Faults deep in an experiment file: right line, field as written, nearest field; all are listed."""

from __future__ import annotations

import pytest

NESTED = """\
name: small
suites: [quick-facts]
models:
  m: {engine: replay, path: outputs.jsonl}
inspectors:
  good: {model: "packaged:helpful"}
systems:
  base: {upstream: m}
  same:
    upstream: m
    corrector:
      kind: chain
      correctors:
        - kind: identity
        - kind: gated
          inspector: good
          corrector:
            kind: repeat
            times: 2
            corrector:
              kind: aligner
              model: m
              template: prompted
judges:
  facts: {kind: reference}
  taste:
    kind: rubric
    rubric: helpful
    model: m
comparisons:
  - {candidate: same, baselines: [base]}
"""
DEEP = "systems.same.corrector.correctors.1.corrector"
# name: (old, new, the lines expected, in order)
CASES = {
    "an option of another engine": (
        "engine: replay, path: outputs.jsonl",
        "engine: hf, model: smollm2-135m-instruct, lora: /nowhere",
        ["exp.yaml:4: models.m.lora: unknown ", "valid: batch_size, chat, dtype, engine"],
    ),
    "a misspelled option of an engine": (
        "path: outputs.jsonl",
        "path: outputs.jsonl, famly: x",
        ["exp.yaml:4: models.m.famly: unknown ", "did you mean 'family'?"],
    ),
    "three correctors deep": (
        "template:",
        "templat:",
        [f"exp.yaml:23: {DEEP}.corrector.templat: unknown ", "did you mean 'template'?"],
    ),
    "two correctors deep": (
        "times: 2",
        "times: 0",
        [f"exp.yaml:19: {DEEP}.times: ", "greater than or equal to 1, not 0"],
    ),
    "a kind three correctors deep": (
        "kind: aligner",
        "kind: aligne",
        [f"exp.yaml:21: {DEEP}.corrector.kind: ", "did you mean 'aligner'?"],
    ),
    "a missing field": ("          inspector: good\n", "", [
        "exp.yaml:15: systems.same.corrector.correctors.1.inspector: is missing",
    ]),
    "an undefined name": ("inspector: good", "inspector: goood", [
        "exp.yaml:16: systems.same.corrector.correctors.1.inspector: ", "did you mean 'good'?",
    ]),
}  # fmt: skip


def faults(cli, folder, text: str) -> list[str]:
    """The lines of ``plan``, without the program's name."""
    (folder / "exp.yaml").write_text(text)
    done = cli("plan", "exp.yaml", cwd=folder)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert all(line.startswith("aligner-bench: exp.yaml") for line in lines), done.stderr
    return [line.removeprefix("aligner-bench: ") for line in lines]


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.replace(" ", "-"))
def test_line_field_and_nearest(cli, tmp_path, case):
    old, new, words = CASES[case]
    assert old in NESTED
    (line,) = faults(cli, tmp_path, NESTED.replace(old, new, 1))
    assert line.startswith(words[0])
    assert all(word in line for word in words)


def test_a_misspelled_required_field_is_two_faults(cli, tmp_path):
    found = faults(cli, tmp_path, NESTED.replace("rubric: helpful", "rubrc: helpful"))
    assert found[0] == "exp.yaml:26: judges.taste.rubric: is missing"
    assert found[1].startswith("exp.yaml:28: judges.taste.rubrc: unknown ")
    assert found[1].endswith("did you mean 'rubric'?")
    assert len(found) == 2


def test_three_faults_in_three_parts_are_three_lines(cli, tmp_path):
    text = NESTED.replace("template:", "templat:").replace("engine: replay", "engine: reply")
    found = faults(cli, tmp_path, text.replace("times: 2", "times: two"))
    assert [line.split(": ")[0] for line in found] == ["exp.yaml:4", "exp.yaml:19", "exp.yaml:23"]


def test_the_first_twenty_of_many_faults_are_listed_and_the_rest_counted(cli, tmp_path):
    many = "".join(f"  s{i}: {{upstream: m, corector: 1}}\n" for i in range(25))
    found = faults(cli, tmp_path, NESTED.replace("systems:\n", f"systems:\n{many}"))
    assert len(found) == 21
    assert found[0].startswith("exp.yaml:8: systems.s0.corector: unknown ")
    assert found[19].startswith("exp.yaml:27: systems.s19.corector: unknown ")
    assert found[20] == "exp.yaml: 5 further faults"
