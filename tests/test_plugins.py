"""Kinds from outside: found by real package metadata on the import path, or by a Python path."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from aligner_bench.core.files import file_digest
from aligner_bench.core.hashing import digest
from aligner_bench.store.tables import read_table
from tests.conftest import ROOT
from tests.test_experiment_errors import GOOD, OUTPUTS, ROWS, SUITE, refused

JUDGE = dedent("""
    from pydantic import Field
    from aligner_bench.judges.rule import RuleJudgeSpec

    class FirstLetterSpec(RuleJudgeSpec):
        '''Prefer the answer that begins with a letter.'''

        letter: str = Field("g", description="the letter")

        def preference(self, pair):
            new, old = (text.startswith(self.letter) for text in (pair.candidate, pair.baseline))
            return 0.5 + 0.5 * (new - old)
""")


@pytest.fixture
def folder(tmp_path):
    files = {"exp.yaml": GOOD, "mini.yaml": SUITE, "mini.jsonl": ROWS, "outputs.jsonl": OUTPUTS}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def site(tmp_path):
    """A folder for the import path, as pip would fill it."""
    home = tmp_path / "site"
    home.mkdir()
    return home


def install(site: Path, name: str, version: str, points: dict[str, list[str]], code: str = JUDGE) -> None:
    """A module and the metadata of its distribution."""
    (site / f"{name.replace('-', '_')}.py").write_text(code)
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = [f"[aligner_bench.{group}]\n" + "\n".join(lines) for group, lines in points.items()]
    (info / "entry_points.txt").write_text("\n\n".join(groups) + "\n")


@pytest.fixture
def call(cli, folder, site):
    """The command line in the experiment's folder, with the site on the import path."""
    return lambda *args: cli(*args, cwd=folder, PYTHONPATH=f"{site}:{ROOT}")


def change(folder: Path, old: str, new: str) -> None:
    path = folder / "exp.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def run(call, folder):
    return call("run", "exp.yaml", "--out", "out", "--ledger", folder / "l.sqlite", "-q")


def identity(folder: Path) -> str:
    return read_table("judges", folder / "out" / "judges.parquet")[0]["identity"]


def test_a_judge_in_one_file_and_its_metadata_runs_and_is_in_manifest_and_identity(call, folder, site):
    install(site, "first-letter", "4.5", {"judges": ["first_letter = first_letter:FirstLetterSpec"]})
    change(folder, "{kind: reference}", "{kind: first_letter, letter: g}")
    done = run(call, folder)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    assert manifest["plugins"] == [
        {"distribution": "first-letter", "version": "4.5", "kinds": ["judges.first_letter"]}
    ]
    plugin = {"distribution": "first-letter", "version": "4.5"}
    said = {"kind": "first_letter", "version": 1, "letter": "g", "plugin": plugin}
    assert identity(folder) == digest(said)
    assert call("verify", "out").returncode == 0


def test_an_experiment_without_plugins_says_that_it_has_none(call, folder, site):
    install(site, "first-letter", "4.5", {"judges": ["first_letter = first_letter:FirstLetterSpec"]})
    assert run(call, folder).returncode == 0
    assert json.loads((folder / "out" / "manifest.json").read_text())["plugins"] == []


def test_changed_code_of_a_plugin_is_run_again(call, folder, site):
    install(site, "first-letter", "4.5", {"judges": ["first_letter = first_letter:FirstLetterSpec"]})
    change(folder, "{kind: reference}", "{kind: first_letter, letter: g}")
    change(folder, "baselines: [base]", "baselines: [other]")
    change(folder, "systems:\n", "systems:\n  other: {upstream: second}\n")
    change(folder, "models:\n", "models:\n  second: {engine: replay, path: second.jsonl}\n")
    (folder / "second.jsonl").write_text(OUTPUTS.replace("green", "red"))

    def preferences():
        assert run(call, folder).returncode == 0
        return sorted(
            row["preference"] for row in read_table("verdicts", folder / "out" / "verdicts.parquet")
        )

    assert preferences() == [0.5, 1.0]
    (site / "first_letter.py").write_text(JUDGE.replace("0.5 + 0.5", "0.5 - 0.5"))
    assert preferences() == [0.0, 0.5]


def test_a_class_named_by_its_python_path_needs_no_installation(call, folder, site):
    (site / "mine.py").write_text(JUDGE)
    change(folder, "{kind: reference}", '{kind: "python:mine:FirstLetterSpec", letter: r}')
    done = run(call, folder)
    assert done.returncode == 0, done.stderr
    source = file_digest(site / "mine.py")
    kind = "python:mine:FirstLetterSpec"
    plugin = {"python": "mine:FirstLetterSpec", "version": source}
    assert identity(folder) == digest({"kind": kind, "version": 1, "letter": "r", "plugin": plugin})
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    assert manifest["plugins"] == [{"distribution": kind, "version": source, "kinds": [f"judges.{kind}"]}]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("python:no.such.module:Judge", ["cannot be imported", "No module named 'no'"]),
        ("python:json:Judge", ["cannot be imported", "no attribute 'Judge'"]),
        ("python:json:JSONDecoder", ["is no JudgeSpec", "aligner_bench.judges.base.JudgeSpec"]),
        ("python:json", ["expected python:package.module:Class"]),
        ("python:raises:Judge", ["cannot be imported", "ZeroDivisionError"]),
    ],
)
def test_python_paths_that_name_no_judge(call, folder, site, path, words):
    (site / "raises.py").write_text("1 / 0\n")
    change(folder, "kind: reference", f'kind: "{path}"')
    refused(call("plan", "exp.yaml"), "exp.yaml:10: judges.facts.kind:", *words)


def test_an_unknown_kind_names_the_nearest_of_plugins_and_of_extras(call, folder, site):
    install(site, "first-letter", "4.5", {"judges": ["first_letter = first_letter:FirstLetterSpec"]})
    change(folder, "kind: reference", "kind: first_leter")
    refused(call("plan", "exp.yaml"), "unknown judge kind 'first_leter'; did you mean 'first_letter'?")
    change(folder, "kind: first_leter", "kind: pairm")
    refused(call("plan", "exp.yaml"), "did you mean 'pairrm'? (pip install 'aligner-bench[pairrm]')")
    change(folder, "kind: pairm", "kind: zzz")
    refused(call("plan", "exp.yaml"), "valid: alpaca_eval, ", "first_letter", "aligner_bench.judges")


def test_two_plugins_of_one_name_are_one_error(call, folder, site):
    point = {"judges": ["first_letter = one:FirstLetterSpec"]}
    install(site, "one", "1.0", point)
    install(site, "two", "2.0", point)
    assert run(call, folder).returncode == 0
    change(folder, "kind: reference", "kind: first_letter")
    refused(
        call("plan", "exp.yaml"),
        "exp.yaml:10: judges.facts.kind: the judge kind 'first_letter' is defined by ",
        "one 1.0",
        "two 2.0",
        "uninstall all but one",
    )


def test_a_plugin_may_not_replace_a_built_in_kind(call, folder, site):
    install(site, "usurper", "1.0", {"judges": ["reference = usurper:FirstLetterSpec"]})
    refused(call("plan", "exp.yaml"), "'reference' is defined by aligner-bench and by usurper 1.0")


def test_a_plugin_that_fails_is_named_to_whoever_asks_and_disturbs_nobody_else(call, folder, site):
    install(site, "broken", "0.3", {"judges": ["odd = broken:OddSpec"]}, "import no_such_dependency\n")
    install(site, "first-letter", "4.5", {"judges": ["first_letter = first_letter:FirstLetterSpec"]})
    assert run(call, folder).returncode == 0
    found = json.loads(call("doctor", "--offline", "--format", "json").stdout)["findings"]
    plugins = {finding["name"]: finding for finding in found if finding["section"] == "plug-ins"}
    assert plugins["judge kind first_letter"]["state"] == "ok"
    assert plugins["judge kind first_letter"]["detail"] == "first-letter 4.5"
    assert plugins["judge kind odd"]["state"] == "fault"
    assert "broken 0.3" in plugins["judge kind odd"]["detail"]
    assert "No module named 'no_such_dependency'" in plugins["judge kind odd"]["detail"]
    change(folder, "kind: reference", "kind: odd")
    refused(
        call("plan", "exp.yaml"),
        "exp.yaml:10: judges.facts.kind: the plug-in broken 0.3, which brings the judge kind 'odd', ",
        "No module named 'no_such_dependency'",
    )


def test_a_plugin_of_the_wrong_base_is_refused(call, folder, site):
    install(site, "first-letter", "4.5", {"correctors": ["letters = first_letter:FirstLetterSpec"]})
    change(folder, "{kind: identity}", "{kind: letters}")
    refused(call("plan", "exp.yaml"), "first-letter 4.5", "aligner_bench.correctors.base.CorrectorSpec")


def test_an_ensemble_is_another_judge_when_its_members_plugin_changes(call, folder, site):
    point = {"judges": ["first_letter = first_letter:FirstLetterSpec"]}
    judges = "{kind: first_letter}\n  brief: {kind: first_letter, letter: b}\n"
    change(folder, "{kind: reference}\n", judges + "  both: {kind: ensemble, judges: [facts, brief]}\n")

    def ensemble():
        assert call("run", "exp.yaml", "--out", "out", "--ledger", folder / "l.sqlite", "-q").returncode == 0
        return read_table("judges", folder / "out" / "judges.parquet")[2]["identity"]

    install(site, "first-letter", "1.0", point)
    first = ensemble()
    (site / "first_letter-1.0.dist-info").rename(site / "first_letter-2.0.dist-info")
    metadata = site / "first_letter-2.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("1.0", "2.0"))
    assert ensemble() != first
