"""`suites list` and `suites show`, for people and for programs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aligner_bench.cli.suites import app
from aligner_bench.suites.load import suite_names

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_list_without_data_says_what_is_not_loaded(monkeypatch):
    monkeypatch.delenv("ALIGNER_BENCH_DATA", raising=False)
    rows = {row["name"]: row for row in json.loads(run("list", "--format", "json"))}
    assert list(rows) == suite_names()
    assert rows["quick-facts"]["loaded"]
    assert rows["quick-facts"]["rows"] == 96
    assert rows["beavertails"]["loaded"] is False
    assert rows["beavertails"]["rows"] == 700
    assert rows["beavertails"]["content_hash"] is None
    assert "--data-dir" in rows["beavertails"]["reason"]


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no local data sets at {DATA}")
def test_list_with_data():
    rows = {row["name"]: row for row in json.loads(run("list", "--format", "json", "--data-dir", str(DATA)))}
    assert rows["truthfulqa"]["rows"] == 813
    assert rows["truthfulqa"]["source"] == "local truthfulqa.csv"
    table = run("list", "--data-dir", str(DATA))
    for name, row in rows.items():
        assert name in table
        assert row["licence"]


def test_show_prints_counts_and_sample():
    text = run("show", "quick-facts", "--rows", "4")
    assert "96 rows" in text
    assert text.count("[qf-") == 4
    shown = json.loads(run("show", "synthetic-3h", "--subset", "ethical", "--rows", "3", "--format", "json"))
    assert shown["rows"] == 40
    assert sum(shown["category_rows"].values()) == 40
    assert len(shown["sample"]) == 3
    assert {prompt["criterion"] for prompt in shown["sample"]} == {"ethical"}


def test_show_strips_what_would_harm_the_terminal(tmp_path):
    row = {
        "text": "\x1b[2J\x1b]0;owned\x07[bold]plain[/bold] \u202e",
        "category": "\x1b[31mred",
        "id": "x\x9b1m",
    }
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    definition = tmp_path / "mine.yaml"
    definition.write_text(
        "name: mine\nversion: 1\nlicence: MIT\nsources: [{kind: packaged, path: rows.jsonl}]\n"
        'description: "\\e[5mblink"\n'
    )
    text = run("show", str(definition))
    assert "[bold]plain[/bold]" in text
    assert not any(bad in text for bad in ("\x1b", "\x9b", "\x07", "\u202e"))
    bad = tmp_path / "bad.jsonl"
    bad.write_text(json.dumps({**row, "text": "ok"}) + "\n" + json.dumps({**row, "text": "ok"}))
    result = CliRunner().invoke(app, ["validate", str(bad)])
    assert result.exit_code == 2
    assert not any(code in result.output for code in ("\x1b", "\x9b"))


def test_command_line_starts_without_heavy_packages():
    code = (
        "import sys; from aligner_bench.cli.suites import app; import aligner_bench.suites; "
        "bad = {'numpy', 'pandas', 'pyarrow', 'torch', 'scipy', 'datasets'} & set(sys.modules); "
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
