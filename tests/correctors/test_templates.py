"""Templates of the user's: files, slots, the conversation, errors, and what a finished run needs of them."""

from __future__ import annotations

import json

import pytest

from aligner_bench.core.errors import UsageError
from aligner_bench.core.types import Answer, Decoding
from aligner_bench.correctors.aligner import AlignerSpec, aligner_request
from aligner_bench.correctors.answers import Item
from aligner_bench.correctors.named_templates import get_template
from aligner_bench.correctors.templates import conversation
from aligner_bench.experiment.experiment import Experiment

TURNS = (("user", "Hi {answer}"), ("assistant", "Hello"))
MINE = """\
text: |-
  {instruction}
  {history}Q: {question}
  A: {answer}
  Better:
instruction: Make it kinder.
stop: ["\\nQ:"]
chat: true
"""
EXPERIMENT = """\
name: mine
decoding: {max_new_tokens: 8}
suites: [mini.yaml]
models:
  recorded: {engine: replay, path: outputs.jsonl}
systems:
  base: {upstream: recorded}
  fixed:
    upstream: recorded
    corrector:
      kind: chain
      correctors:
        - {kind: identity}
        - kind: repeat
          times: 2
          corrector:
            kind: aligner
            model: recorded
            template: mine.yaml
judges: {facts: {kind: reference}}
comparisons: [{candidate: fixed, baselines: [base]}]
"""
SUITE = """\
name: mini
version: 1
licence: CC0-1.0
sources: [{kind: packaged, path: mini.jsonl, expected_rows: 1}]
"""


def item(history=()):
    return Item("p", "Why?", Answer("So.", "ok", "stop"), Decoding(), history=history)


def asked(spec, history=()):
    made = aligner_request(spec, item(history), "So.")
    return made.prefix + made.answer + made.suffix


@pytest.fixture
def folder(tmp_path):
    for name, text in {
        "exp.yaml": EXPERIMENT,
        "mine.yaml": MINE,
        "mini.yaml": SUITE,
        "mini.jsonl": '{"id": "a", "prompt": "What is 1 + 1?", "references": ["2"]}\n',
        "outputs.jsonl": '{"prompt_id": "a", "output": "2"}\n',
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def the_aligner(experiment):
    return experiment.systems["fixed"].corrects.correctors[1].corrector


def test_slots_are_filled_once_and_what_is_inserted_stays_as_it_is(folder):
    aligner = the_aligner(Experiment.load(folder / "exp.yaml"))
    assert asked(aligner) == "Make it kinder.\nQ: Why?\nA: So.\nBetter:"
    talk = "User: Hi {answer}\nAssistant: Hello\n"
    assert asked(aligner, TURNS) == f"Make it kinder.\n{talk}Q: Why?\nA: So.\nBetter:"
    request = aligner_request(aligner, item(), "So.")
    assert (request.chat, request.decoding.stop, request.answer) == (True, ("\nQ:",), "So.")


def test_the_aligners_instruction_replaces_the_templates(folder):
    path = folder / "exp.yaml"
    path.write_text(
        EXPERIMENT.replace("template: mine.yaml", 'template: mine.yaml\n            instruction: "{x}"')
    )
    assert asked(the_aligner(Experiment.load(path))).startswith("{x}\nQ: Why?")


def test_a_template_without_a_history_slot_has_the_conversation_before_the_question():
    spec = AlignerSpec(kind="aligner", model="m", template="ngweta")
    assert asked(spec, TURNS) == "User: Hi {answer}\nAssistant: Hello\nUser: Why? [INIT] So. [ALIGNED] "
    assert asked(spec) == "Why? [INIT] So. [ALIGNED] "
    assert conversation(()) == ""


def test_before_and_after_may_hold_the_other_slots(tmp_path):
    (tmp_path / "t.yml").write_text(
        "before: '{history}{question} | '\nafter: ' {instruction}'\ninstruction: Go\n"
    )
    template = get_template("t.yml", tmp_path)
    assert template.fill("Q", TURNS[1:]) == ("Assistant: Hello\nQ | ", " Go")
    assert (template.name, template.chat, template.special_tokens) == ("t.yml", False, "skip")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("{question}", "{queston}", 1, "text: {question} must occur once here; it occurs nowhere"),
        ("A: {answer}", "{answer} {answer}", 1, "text: {answer} must occur once here; it occurs 2 times"),
        ("{history}", "{histroy}", 1, "text: unknown slot {histroy}; did you mean 'history'?"),
        ("{instruction}\n", "Improve.\n", 6, "instruction: the template has no slot {instruction}"),
        ("chat: true", "chat: maybe", 8, "chat: "),
        ("stop:", "stops:", 7, "did you mean 'stop'?"),
        ("chat: true", "special_tokens: kept", 8, "special_tokens: "),
        ("chat: true", "before: '{question}'", 1, "expected either text, or before and after"),
        ('["\\nQ:"]', '[""]', 7, "stop: an empty string"),
    ],
)
def test_faults_of_a_template_file_name_its_own_line_and_field(folder, old, new, line, words):
    assert old in MINE
    (folder / "mine.yaml").write_text(MINE.replace(old, new))
    with pytest.raises(UsageError) as caught:
        Experiment.load(folder / "exp.yaml")
    assert str(caught.value).startswith(f"{folder / 'mine.yaml'}:{line}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("prompted-helpfull", "unknown template 'prompted-helpfull'; did you mean 'prompted-helpful'?"),
        ("mone.yaml", "no such template file; did you mean 'mine.yaml'?"),
    ],
)
def test_an_unknown_template_three_correctors_deep_names_its_line(folder, named, words):
    path = folder / "exp.yaml"
    path.write_text(EXPERIMENT.replace("mine.yaml", named))
    line = EXPERIMENT.split("\n").index("            template: mine.yaml") + 1
    with pytest.raises(UsageError) as caught:
        Experiment.load(path)
    at = "systems.fixed.corrector.correctors.1.corrector.template"
    assert str(caught.value).startswith(f"{path}:{line}: {at}: {words}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "template", "line", "words"),
    [
        ("instruction: Be kind", "ji-v1", 20, "template 'ji-v1' has no slot {instruction}"),
        ("decoding: null", "mine.yaml", 16, "has no text for its slot {instruction}"),
    ],
)
def test_an_instruction_that_does_not_fit_is_a_fault_of_the_aligner(folder, more, template, line, words):
    (folder / "mine.yaml").write_text(MINE.replace("instruction: Make it kinder.\n", ""))
    path = folder / "exp.yaml"
    path.write_text(EXPERIMENT.replace("template: mine.yaml", f"template: {template}\n            {more}"))
    with pytest.raises(UsageError, match=rf"exp\.yaml:{line}: .*\.instruction: ") as caught:
        Experiment.load(path)
    assert words in str(caught.value)


def test_the_hash_is_of_the_templates_content_and_the_manifest_needs_no_file(folder):
    first = Experiment.load(folder / "exp.yaml")
    (folder / "mine.yaml").write_text("# A comment decides nothing.\n" + MINE)
    assert Experiment.load(folder / "exp.yaml").hash() == first.hash()
    (folder / "mine.yaml").write_text(MINE.replace("kinder", "shorter"))
    second = Experiment.load(folder / "exp.yaml")
    assert second.hash() != first.hash()
    (folder / "mine.yaml").unlink()
    stored = Experiment.stored(json.loads(json.dumps(second.model_dump(mode="json"))))
    assert stored.hash() == second.hash()
    assert the_aligner(stored) == the_aligner(second)


def test_named_templates_are_stored_by_name_as_before():
    spec = AlignerSpec(kind="aligner", model="m", template="ji-v1")
    assert spec.model_dump(mode="json") == {
        "kind": "aligner", "model": "m", "template": "ji-v1", "decoding": None,
    }  # fmt: skip
    assert AlignerSpec(kind="aligner", model="m").model_dump()["template"] == "prompted"


def test_a_run_with_a_template_file_verifies_and_reports_without_it(cli, folder):
    out = folder / "out"
    done = cli("run", folder / "exp.yaml", "--out", out, "--ledger", folder / "l.sqlite", "-q")
    assert done.returncode == 0, done.stderr
    smoke = ("run", folder / "exp.yaml", "--scale", "smoke", "--out", folder / "small")
    done = cli(*smoke, "--ledger", folder / "l.sqlite", "-q")
    assert done.returncode == 0, done.stderr
    (folder / "mine.yaml").unlink()
    for command in ("verify", "report"):
        done = cli(command, out)
        assert done.returncode == 0, done.stdout + done.stderr
