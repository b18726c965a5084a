"""Bad input ends as one clear line and exit code 2, and leaves nothing behind."""

from __future__ import annotations

import pytest

GOOD = """\
name: small
decoding: {temperature: 0.0, max_new_tokens: 8}
suites: [mini.yaml]
models:
  recorded: {engine: replay, path: outputs.jsonl}
systems:
  base: {upstream: recorded}
  same: {upstream: recorded, corrector: {kind: identity}}
judges:
  facts: {kind: reference}
comparisons:
  - {candidate: same, baselines: [base]}
"""
SUITE = """\
name: mini
version: 1
licence: CC0-1.0
sources:
  - {kind: packaged, path: mini.jsonl, expected_rows: 2}
"""
ROWS = (
    '{"id": "a", "prompt": "What is 1 + 1?", "references": ["2"]}\n'
    '{"id": "b", "prompt": "Name a primary colour.", "references": ["red", "blue", "yellow"]}\n'
)
OUTPUTS = '{"prompt_id": "a", "output": "2"}\n{"prompt_id": "b", "output": "green"}\n'

# name: (file, old, new, words that the line must hold)
CASES = {
    "unknown key": ("exp.yaml", "comparisons:", "comparision:", ["exp.yaml:11", "comparisons"]),
    "unknown key deep": ("exp.yaml", "{kind: identity}", "{kind: identity, modl: x}", ["exp.yaml:8", "modl"]),
    "wrong type": ("exp.yaml", "max_new_tokens: 8", "max_new_tokens: many", ["exp.yaml:2", "max_new_tokens"]),
    "missing model": ("exp.yaml", "upstream: recorded}", "upstream: recorder}", ["exp.yaml:7", "recorded"]),
    "missing judge": ("exp.yaml", "baselines: [base]", "baselines: [base], judges: [fact]", ["facts", ":12"]),
    "unknown baseline": ("exp.yaml", "baselines: [base]", "baselines: [bas]", ["exp.yaml:12", "'base'"]),
    "unknown engine": ("exp.yaml", "engine: replay", "engine: reply", ["exp.yaml:5", "replay"]),
    "unknown corrector": ("exp.yaml", "kind: identity", "kind: indentity", ["exp.yaml:8", "identity"]),
    "unknown template": (
        "exp.yaml",
        "{kind: identity}",
        "{kind: aligner, model: recorded, template: ji-v2}",
        ["template", "ji-v1"],
    ),
    "system kind": ("exp.yaml", "{upstream: recorded}", "{kind: best_of, upstream: recorded}", ["best_of_n"]),
    "bad yaml": ("exp.yaml", "judges:\n", "judges: [\n", ["exp.yaml:", "not valid YAML"]),
    "no suites": ("exp.yaml", "suites: [mini.yaml]", "suites: []", ["exp.yaml:3", "suites"]),
    "unknown suite": ("exp.yaml", "[mini.yaml]", "[quick-fact]", ["quick-facts"]),
    "missing recording": ("exp.yaml", "outputs.jsonl", "nothing.jsonl", ["nothing.jsonl", "no such file"]),
    "duplicate ids": ("mini.jsonl", '"b"', '"a"', ["mini.jsonl", "'a'"]),
    "wrong count": ("mini.yaml", "expected_rows: 2", "expected_rows: 3", ["3", "2"]),
    "broken suite row": ("mini.jsonl", '{"id": "b",', '{"id": "b"', ["mini.jsonl:2"]),
    "missing licence": ("mini.yaml", "licence: CC0-1.0\n", "", ["licence", "missing"]),
    "broken recording": ("outputs.jsonl", '"output": "2"}', '"output": 2', ["outputs.jsonl", "line 1"]),
    "recording without output": ("outputs.jsonl", '"output": "2"', '"outptu": "2"', ["line 1", "output"]),
}


@pytest.fixture
def folder(tmp_path):
    home = tmp_path / "exp"
    home.mkdir()
    for name, text in {
        "exp.yaml": GOOD,
        "mini.yaml": SUITE,
        "mini.jsonl": ROWS,
        "outputs.jsonl": OUTPUTS,
    }.items():
        (home / name).write_text(text)
    return home


def refused(done, *words):
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len([line for line in lines if line.startswith("aligner-bench:")]) == 1
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[-1]


def run_in(cli, folder, file="exp.yaml"):
    out = folder / "out"
    done = cli(
        "run",
        folder / file if (folder / file).exists() else file,
        "--out",
        out,
        "--ledger",
        folder.parent / "ledger.sqlite",
        "-q",
    )
    return done, out


def test_the_good_file_runs(cli, folder):
    done, out = run_in(cli, folder)
    assert done.returncode == 0, done.stderr
    assert (out / "leaderboard.json").exists()
    assert (out / "report.html").exists()


@pytest.mark.parametrize("case", CASES, ids=lambda name: name.replace(" ", "-"))
def test_one_line_and_nothing_written(cli, folder, case):
    file, old, new, words = CASES[case]
    path = folder / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    done, out = run_in(cli, folder)
    refused(done, *words)
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\x00\x01\x02binary", "binary"),
        (b"- a\n- b\n", "keys and values"),
        (b"name: \xff", "UTF-8"),
    ],
    ids=["empty", "binary", "list", "latin-1"],
)
def test_files_that_are_no_experiment(cli, folder, content, words):
    (folder / "exp.yaml").write_bytes(content)
    done, out = run_in(cli, folder)
    refused(done, "exp.yaml", words)
    assert not out.exists()


def test_a_folder_a_missing_file_and_an_unknown_name(cli, folder):
    (folder / "dir.yaml").mkdir()
    refused(run_in(cli, folder, "dir.yaml")[0], "dir.yaml", "folder")
    refused(run_in(cli, folder, "absent.yaml")[0], "absent.yaml")
    refused(run_in(cli, folder, "quickstrat")[0], "did you mean 'quickstart'?")
    assert not (folder / "out").exists()


def test_greedy_samples_are_refused(cli, folder):
    text = GOOD.replace("engine: replay, path: outputs.jsonl", "engine: hf, model: smollm2-135m-instruct")
    text = text.replace("base: {upstream", "base: {kind: resample, upstream")
    (folder / "exp.yaml").write_text(text)
    done, out = run_in(cli, folder)
    refused(done, "temperature", "resample")
    assert not out.exists()


def test_another_experiments_run_is_not_replaced(cli, folder):
    assert run_in(cli, folder)[0].returncode == 0
    before = (folder / "out" / "manifest.json").read_text()
    (folder / "exp.yaml").write_text(GOOD + "seed: 3\n")
    refused(run_in(cli, folder)[0], "a different experiment", "--overwrite")
    assert (folder / "out" / "manifest.json").read_text() == before


def test_a_folder_with_other_files_is_not_used(cli, folder):
    (folder / "out").mkdir()
    (folder / "out" / "thesis.txt").write_text("mine")
    refused(run_in(cli, folder)[0], "contains files but no run")
    assert [p.name for p in (folder / "out").iterdir()] == ["thesis.txt"]


def test_missing_extra_names_the_extra(cli, folder, tmp_path):
    """A torch that cannot be imported stands for one that is not installed."""
    blocked = tmp_path / "blocked" / "torch"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('no torch here', name='torch')")
    text = GOOD.replace("engine: replay, path: outputs.jsonl", f"engine: hf, model: {tmp_path}")
    (folder / "exp.yaml").write_text(text)
    from tests.conftest import ROOT

    done = cli(
        "run",
        "exp.yaml",
        "--out",
        folder / "out",
        "--ledger",
        tmp_path / "l.sqlite",
        "-q",
        cwd=folder,
        PYTHONPATH=f"{blocked.parent}:{ROOT}",
    )
    refused(done, "aligner-bench[hf]")
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    "args", [["leaderboard", "nowhere"], ["report", "nowhere"], ["ledger", "stats", "--ledger", "x"]]
)
def test_commands_on_things_that_are_not_there(cli, args):
    refused(cli(*args), args[-1])
