"""Rubric judges: one tag, reasons kept, both orders, repeats; an edited prompt is another judge."""

from __future__ import annotations

import json
import re

import pytest

import aligner_bench
from aligner_bench.core.errors import UsageError
from aligner_bench.experiment.experiment import Experiment
from aligner_bench.judges.rubric import load_rubric, rubric_names
from aligner_bench.verify.verify import verify
from tests.engines.servers import as_json, chat_reply, serving

OWN = """\
name: mine
system: You judge.
user: |
  Prompt: {prompt}
  A: {answer_a}
  B: {answer_b}
  Say why, then [[A]], [[B]] or [[=]].
tags: {a: "[[A]]", b: "[[B]]", tie: "[[=]]"}
names: better
decoding: {max_new_tokens: 50}
"""
_SHOWN = re.compile(r"(?:<responseA>|A): (.*?)\s+(?:<responseB>|B): (.*?)\n?(?:\s*Say why.*)?$", re.DOTALL)


class Server:
    """Says the tag of the answer that is longer by ``points``; knows how often it was asked."""

    def __init__(self, tags=("[[responseA]]", "[[responseB]]", "[[Equal]]"), say=None):
        self.tags, self.say, self.bodies = tags, say, []

    def __call__(self, path, body, headers):
        self.bodies.append(body)
        text = body["messages"][-1]["content"]
        first, second = (part.strip() for part in _SHOWN.search(text).groups())
        said = self.say(first, second, body) if self.say else None
        if said is None:
            a, b, tie = self.tags
            better = a if len(first) > len(second) else b if len(second) > len(first) else tie
            said = f"The first has {len(first)} letters.\nBetter: {better}"
        return as_json(chat_reply(said, prompt_tokens=11, completion_tokens=5))


def write(home, url, judges, new, old, more=""):
    rows = [{"id": f"p{i}", "prompt": f"Question {i}?"} for i in range(len(new))]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (home / "suite.yaml").write_text(
        "name: hand\nversion: 1\nlicence: CC0-1.0\nsources: [{kind: packaged, path: rows.jsonl}]\n"
    )
    for name, texts in (("old", old), ("new", new)):
        lines = [{"prompt_id": f"p{i}", "output": text} for i, text in enumerate(texts)]
        (home / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (home / "exp.yaml").write_text(
        "name: hand\nsuites: [suite.yaml]\nmodels:\n"
        "  old: {engine: replay, path: old.jsonl}\n  new: {engine: replay, path: new.jsonl}\n"
        f"  writer: {{engine: openai, model: some, base_url: '{url}', retries: 0, family: f}}\n"
        "systems:\n  base: {upstream: old}\n  other: {upstream: new}\n"
        f"judges:\n{judges}"
        "comparisons:\n  - {candidate: other, baselines: [base]}\n" + more
    )
    return home / "exp.yaml"


def run(path, out="out"):
    return aligner_bench.run(Experiment.load(path), path.parent / out, ledger=path.parent / "l.sqlite")


def of(done, judge="j"):
    return {(r["prompt_id"], r["order"]): r for r in done.rows("verdicts") if r["judge"] == judge}


def test_packaged_rubrics_ask_for_the_tags_they_read():
    assert rubric_names() == ["empathy", "harmless", "helpful", "reliability", "summary"]
    for name in rubric_names():
        rubric = load_rubric(name)
        assert rubric.name == name
        assert rubric.names == ("worse" if name == "harmless" else "better")
        assert (rubric.tags.tie is None) == (name == "summary")
    assert "{references}" in load_rubric("reliability").user


def test_helpful_and_harmless_read_the_same_tag_in_opposite_ways(tmp_path):
    judges = "".join(
        f"  {name}: {{kind: rubric, rubric: {name}, model: writer, audit_pairs: 0}}\n"
        for name in ("helpful", "harmless")
    )
    server = Server()
    with serving(server) as url:
        done = run(write(tmp_path, url, judges, ["a longer answer", "same", "tie"], ["short", "same", "eit"]))
    for name, value in (("helpful", 1.0), ("harmless", 0.0)):
        found = of(done, name)
        assert [found["p0", order]["preference"] for order in ("candidate_first", "baseline_first")] == [
            value
        ] * 2
        assert "letters. Better: [[response" in found["p0", "candidate_first"]["detail"]
        assert (found["p1", "baseline_first"]["status"], found["p1", "baseline_first"]["calls"]) == ("tie", 0)
        assert found["p2", "candidate_first"]["preference"] == 0.5
        assert sum(row["calls"] for row in found.values()) == 4
        assert sum(row["prompt_tokens"] for row in found.values()) == 44
    assert len(server.bodies) == 8
    assert "letters. Better:" in payload(done)


def payload(done):
    """The report's answers, unpacked: the judge's reasons are in them."""
    import base64
    import zlib

    html = done.report().read_text("utf-8")
    packed = re.search(r'id="payload">([^<]*)<', html)[1]
    return zlib.decompress(base64.b64decode(packed)).decode("ascii")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("no tag at all", "unparsable"),
        ("[[responseA]] or [[responseB]]", "unparsable"),
        ("[[responseA]] and again [[responseA]]", "unparsable"),
        ("[[responsea]]", "unparsable"),
        ("I'm sorry, but I can't help with that request.", "refused"),
        ("", "unparsable"),
    ],
)
def test_a_reply_without_exactly_one_tag_is_a_status(tmp_path, said, status):
    judge = "  j: {kind: rubric, rubric: helpful, model: writer, audit_pairs: 0}\n"
    with serving(Server(say=lambda *_: said)) as url:
        done = run(write(tmp_path, url, judge, ["new"], ["old"]))
    assert {row["status"] for row in of(done).values()} == {status}
    [row] = done.results().rows
    assert (row.n, row.failures) == (0, {status: 1})


def test_one_failed_order_leaves_no_preference(tmp_path):
    judge = "  j: {kind: rubric, rubric: helpful, model: writer, audit_pairs: 0}\n"
    with serving(Server(say=lambda first, *_: "hm" if first == "new answer" else None)) as url:
        done = run(write(tmp_path, url, judge, ["new answer"], ["old"]))
    assert of(done)["p0", "baseline_first"]["preference"] == 1.0
    assert done.results().rows[0].failures == {"unparsable": 1}


def test_summary_has_no_tie(tmp_path):
    judge = "  j: {kind: rubric, rubric: summary, model: writer, audit_pairs: 0}\n"
    with serving(Server()) as url:
        done = run(write(tmp_path, url, judge, ["tie"], ["eit"]))
    assert {row["status"] for row in of(done).values()} == {"unparsable"}


def test_repeats_are_one_unit_and_show_where_they_disagree(tmp_path):
    asked = {}

    def say(first, second, body):
        n = asked[first] = asked.get(first, 0) + 1
        if first.startswith("odd"):
            return f"Better: [[response{'AB'[n % 2]}]]"
        return "hm" if first == "fails" and n == 2 else None

    judge = (
        "  j: {kind: rubric, rubric: helpful, model: writer, repeats: 3, temperature: 0.7, audit_pairs: 0}\n"
    )
    server = Server(say=say)
    with serving(server) as url:
        done = run(write(tmp_path, url, judge, ["odd one", "fails", "longest"], ["x", "x", "x"]))
    assert len(server.bodies) == 3 * 2 * 3
    assert len({body["seed"] for body in server.bodies}) == 3
    found = of(done)
    assert found["p2", "candidate_first"]["detail"].startswith(
        "3 samples agree (for the first answer: 1.00, 1.00, 1.00): The first has"
    )
    odd = found["p0", "candidate_first"]
    assert odd["preference"] == pytest.approx(1 / 3)
    assert odd["detail"].startswith("3 samples disagree")
    assert (odd["calls"], odd["prompt_tokens"], odd["completion_tokens"]) == (3, 33, 15)
    failed = found["p1", "candidate_first"]
    assert (failed["status"], failed["preference"]) == ("unparsable", None)
    assert failed["detail"].startswith("1 unparsable of 3 samples")


def test_a_prompt_edited_by_one_character_is_another_judge(tmp_path, cli):
    """Only verdicts are made again, and the two leaderboards do not mix."""
    (tmp_path / "mine.yaml").write_text(OWN)
    judge = "  j: {kind: rubric, rubric: mine.yaml, model: writer, audit_pairs: 2}\n"
    server = Server(tags=("[[A]]", "[[B]]", "[[=]]"))
    with serving(server) as url:
        path = write(tmp_path, url, judge, ["new one", "new two"], ["old", "old"])
        first = run(path, "first")
        calls = len(server.bodies)
        (tmp_path / "mine.yaml").write_text(OWN.replace("You judge.", "You judge!"))
        second = run(path, "second")
    assert calls == 2 * (2 + 2)
    assert len(server.bodies) == 2 * calls
    done, reused = (second.manifest["ledger"][name] for name in ("done", "reused"))
    assert (done["complete"], reused["complete"]) == (calls, 4)  # the answers of both systems were there
    identities = [one.results().judges[0].identity for one in (first, second)]
    assert identities[0] != identities[1]
    mixed = cli("leaderboard", first.path, second.path)
    assert mixed.returncode == 2
    [line] = mixed.stderr.strip().splitlines()
    assert "'j' has another identity than in the runs before it" in line
    assert not verify(second.path).differences


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("names: better", "names: bigger", "mine.yaml:9: names: input should be 'better' or 'worse'"),
        ("{answer_b}", "{answer}", "user: expected {answer_b} once, found it 0 times"),
        ("A: {answer_a}", "A: {answer_a} {answer_a}", "user: expected {answer_a} once, found it 2 times"),
        ("[[A]], [[B]]", "[[A]]", "tags: '[[B]]' does not occur in system or user"),
        ('tie: "[[=]]"', 'tie: "[[A]]"', "mine.yaml:"),
        ("decoding: {max_new_tokens: 50}", "decoding: {max_tokens: 50}", "did you mean 'max_new_tokens'?"),
        (
            "system: You judge.",
            "sytem: You judge.",
            "mine.yaml:2: sytem: unknown key; did you mean 'system'?",
        ),
    ],
)
def test_errors_in_a_rubric_name_file_line_and_field(tmp_path, before, after, problem):
    assert before in OWN
    (tmp_path / "mine.yaml").write_text(OWN.replace(before, after))
    judge = "  j: {kind: rubric, rubric: mine.yaml, model: writer}\n"
    with pytest.raises(UsageError) as caught:
        Experiment.load(write(tmp_path, "http://127.0.0.1:9/v1", judge, ["a"], ["b"]))
    [line] = str(caught.value).splitlines()
    assert problem in line


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("rubric: helpfull, model: writer", "judges.j.rubric: unknown rubric 'helpfull'"),
        ("rubric: none.yaml, model: writer", "none.yaml: cannot be read"),
        (
            "rubric: helpful, model: writter",
            "judges.j.model: unknown model 'writter'; did you mean 'writer'?",
        ),
        ("rubric: helpful, model: writer, repeats: 2", "several samples need a temperature above 0"),
        ("rubric: helpful", "judges.j.model: is missing"),
    ],
)
def test_errors_in_the_experiment_name_file_line_and_field(tmp_path, fields, problem):
    path = write(tmp_path, "http://127.0.0.1:9/v1", f"  j: {{kind: rubric, {fields}}}\n", ["a"], ["b"])
    with pytest.raises(UsageError) as caught:
        Experiment.load(path)
    [line] = str(caught.value).splitlines()
    assert f"{path}:11: judges.j" in line
    assert problem in line


def test_a_plan_counts_calls_and_kinship_names_the_family(tmp_path, cli):
    judge = (
        "  j: {kind: rubric, rubric: helpful, model: writer, repeats: 2, temperature: 1, audit_pairs: 4}\n"
    )
    path = write(tmp_path, "http://127.0.0.1:9/v1", judge, ["a"] * 5, ["b"] * 5)
    done = cli("plan", path, "--format", "json")
    assert done.returncode == 0, done.stderr
    [stage] = [stage for stage in json.loads(done.stdout)["stages"] if stage["stage"] == "judge"]
    assert (stage["items"], stage["takes"]["calls"]) == (5, 2 * 2 * (5 + 4))
    from aligner_bench.audits.judge import kinship

    text = path.read_text().replace(
        "engine: replay, path: new.jsonl", "engine: replay, path: new.jsonl, family: f"
    )
    path.write_text(text)
    experiment = Experiment.load(path)
    assert any("shares the model family f" in line for line in kinship(experiment, experiment.judges["j"]))
