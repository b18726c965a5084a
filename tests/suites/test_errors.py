"""Faulty suites end as one clear line that names file, line and field."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aligner_bench.cli.suites import app
from aligner_bench.core.errors import UsageError
from aligner_bench.suites.load import load_suite

HEAD = 'name: mine\nversion: "1"\nlicence: MIT\n'
GOOD = HEAD + "sources:\n  - kind: packaged\n    path: rows.jsonl\n"
ROWS = b'{"prompt_id": "a", "text": "One?"}\n{"prompt_id": "b", "text": "Two?"}\n'


def message(path: Path | str, **options) -> str:
    with pytest.raises(UsageError) as caught:
        load_suite(str(path), **options)
    text = str(caught.value)
    assert text.isprintable()
    return text


def write(folder: Path, definition: str | bytes = GOOD, rows: bytes = ROWS, name: str = "rows.jsonl") -> Path:
    path = folder / "mine.yaml"
    path.write_bytes(definition if isinstance(definition, bytes) else definition.encode())
    (folder / name).write_bytes(rows)
    return path


DEFINITIONS = {
    "unknown key": (
        GOOD + "descripton: x\n",
        "mine.yaml:7: descripton: unknown key; did you mean 'description'?",
    ),
    "unknown key inside": (
        GOOD + "    colums: {}\n",
        "mine.yaml:7: sources.0.colums: unknown key; did you mean",
    ),
    "unknown key in columns": (
        GOOD + "    columns: {txt: a}\n",
        "columns.txt: unknown key; did you mean 'text'?",
    ),
    "wrong type": (
        GOOD.replace("name: mine", "name: [mine]"),
        "mine.yaml:1: name: input should be a valid string",
    ),
    "wrong type of count": (GOOD + "    expected_rows: many\n", "mine.yaml:7: sources.0.expected_rows: "),
    "missing key": ("name: mine\nversion: 1\nlicence: MIT\n", "mine.yaml:1: sources: is missing"),
    "no sources": (HEAD + "sources: []\n", "mine.yaml:4: sources: "),
    "bad yaml": (HEAD + "sources: [\n", "mine.yaml:5: not valid YAML: "),
    "same key twice": (GOOD + "name: again\n", "mine.yaml:7: the key 'name' stands here a second time"),
    "a list": ("- a\n- b\n", "mine.yaml:1: expected a suite definition: keys and values"),
    "empty": ("", "mine.yaml: is empty; expected a suite definition"),
    "only space": ("\n\n", "mine.yaml: is empty; expected a suite definition"),
    "binary": (b"\x89PNG\r\n\x1a\n\0\0\0", "mine.yaml: is a binary file; expected a suite definition"),
    "not utf-8": (b"name: mine\nlicence: caf\xe9\n", "mine.yaml:2: is not UTF-8 text"),
    "python object": (
        GOOD + "description: !!python/object/apply:os.getcwd []\n",
        "mine.yaml:7: not valid YAML",
    ),
    "a branch for a revision": (
        HEAD + "sources:\n  - {kind: hub, dataset: a/b, split: test, revision: main}\n",
        "revision must be a commit of 40 hexadecimal digits, not a branch",
    ),
    "hub without dataset": (
        HEAD + "sources:\n  - {kind: hub, split: test}\n",
        "a hub source needs a dataset",
    ),
    "no path": (
        HEAD + "sources:\n  - {kind: local}\n",
        "mine.yaml:5: sources.0: a local source needs a path",
    ),
    "column and const": (
        GOOD + "    columns: {text: {column: a, const: b}}\n",
        "exactly one of column, const",
    ),
    "relevant unknown": (GOOD + "categories: [a]\nrelevant: [b]\n", "relevant names the category 'b'"),
    "aliases without end": (
        GOOD
        + "description: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"d{c}: &{c} [" + ", ".join([f"*{b}"] * 9) + "]\n"
            for b, c in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "mine.yaml: has more than 200,000 parts",
    ),
    "alias of itself": (GOOD + "description: &a [*a]\n", "mine.yaml: not valid YAML: "),
    "hostile key": (GOOD + '"\\e[2Jkey\\n\\u202e": 1\n', "mine.yaml:7: key : unknown key"),
    "empty subset": (GOOD + "subsets: {s: {note: x}}\n", "mine.yaml:7: subsets.s: needs ids, categories"),
}


@pytest.mark.parametrize("case", DEFINITIONS)
def test_faulty_definitions(tmp_path, case):
    definition, expected = DEFINITIONS[case]
    assert expected in message(write(tmp_path, definition))


DATA = {
    "invalid json": (ROWS + b'{"prompt_id": "c",\n', "rows.jsonl:3: not valid JSON: "),
    "not an object": (b"[1, 2]\n", "rows.jsonl:1: expected a JSON object, not list"),
    "not utf-8": (
        ROWS + b'{"prompt_id": "c", "text": "caf\xe9"}\n',
        "rows.jsonl:3: not UTF-8: byte 0xe9 at 32",
    ),
    "binary": (b"PK\x03\x04\0\0", "rows.jsonl:1: is a binary file"),
    "empty file": (b"", "rows.jsonl: is empty; expected jsonl rows"),
    "no rows": (b"\n\n", "has no rows"),
    "same id twice": (
        ROWS + b'\n{"prompt_id": "a", "text": "Three?"}\n',
        "rows.jsonl:4: prompt_id: duplicate 'a'; first at ",
    ),
    "no text column": (b'{"prompt_id": "a", "body": "x"}\n', "text: no column text or prompt or "),
    "hostile column": (b'{"\\u001b[2Ja\\nb": "x"}\n', "found: a b"),
    "text is a number": (b'{"prompt_id": "a", "text": 7}\n', "rows.jsonl:1: text: expected text, not int"),
    "text is empty": (ROWS + b'{"prompt_id": "c", "text": " "}\n', "rows.jsonl:3: text: is missing or empty"),
    "id missing": (ROWS + b'{"text": "c"}\n', "rows.jsonl:3: prompt_id: is missing or empty"),
    "references a map": (
        b'{"text": "q", "references": {"a": 1}}\n',
        "rows.jsonl:1: references: expected text",
    ),
    "history no list": (
        b'{"text": "q", "history": "hi"}\n',
        "rows.jsonl:1: history: expected a list of turns",
    ),
    "turn without role": (b'{"text": "q", "history": [{"content": "x"}]}\n', "history: each turn needs role"),
    "lone surrogate": (b'{"text": "q \\ud83d"}\n', "rows.jsonl:1: text: has a lone surrogate"),
}


@pytest.mark.parametrize("case", DATA)
def test_faulty_rows(tmp_path, case):
    rows, expected = DATA[case]
    assert expected in message(write(tmp_path, rows=rows))


def test_duplicate_ids_name_both_lines(tmp_path):
    text = message(write(tmp_path, rows=ROWS + ROWS[:35]))
    assert f"{tmp_path / 'rows.jsonl'}:3: prompt_id: duplicate 'a'" in text
    assert text.endswith(f"first at {tmp_path / 'rows.jsonl'}:1")


def test_missing_column_is_named(tmp_path):
    text = message(write(tmp_path, GOOD + "    columns: {text: txt}\n"))
    assert text == f"{tmp_path / 'rows.jsonl'}:1: txt: no such column; did you mean 'text'?"


def test_unknown_category(tmp_path):
    rows = b'{"text": "q", "category": "fact"}\n'
    text = message(write(tmp_path, GOOD + "categories: [facts, units]\n", rows))
    assert "rows.jsonl:1: category: unknown category 'fact'; did you mean 'facts'?" in text


def test_wrong_count_and_hash_name_the_source_and_what_was_found(tmp_path):
    text = message(write(tmp_path, GOOD + "    expected_rows: 3\n"))
    assert text == "suite mine, source packaged rows.jsonl: expected_rows: expected 3 rows, found 2"
    text = message(write(tmp_path, GOOD + f"    content_hash: {'ab' * 32}\n"))
    found = load_suite(str(write(tmp_path))).content_hash
    assert f"source packaged rows.jsonl: content_hash: expected {'ab' * 32}, found {found}" in text


def test_missing_data_says_what_was_tried_and_what_helps(tmp_path, monkeypatch):
    monkeypatch.delenv("ALIGNER_BENCH_DATA", raising=False)
    text = message("beavertails")
    assert (
        "local beavertails_evaluation.jsonl (no data folder: give --data-dir or set ALIGNER_BENCH_DATA)"
        in text
    )
    assert "hub PKU-Alignment/BeaverTails-Evaluation@" in text
    text = message("beavertails", data_dir=tmp_path)
    assert f"local {tmp_path / 'beavertails_evaluation.jsonl'} (no such file)" in text
    assert "no such folder (from --data-dir)" in message("beavertails", data_dir=tmp_path / "none")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """The hub's client answers at once from its cache, which has none of this."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_missing_extra_is_one_line_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    text = message("dialogsum")
    assert "needs the package datasets" in text
    assert "pip install 'aligner-bench[hub]'" in text


def test_unknown_names(tmp_path):
    assert message("beavertail") == "unknown suite 'beavertail'; did you mean 'beavertails'?"
    text = message("beavertails:ngweta4")
    assert text.endswith("beavertails.yaml: unknown subset 'ngweta4'; did you mean 'ngweta_4'?")
    assert "cannot be read (No such file or directory)" in message(tmp_path / "none.yaml")
    assert "is a folder; expected a suite definition" in message(tmp_path)
    write(tmp_path)
    assert "rows.jsonl: is a data file; expected a suite definition" in message(tmp_path / "rows.jsonl")


def test_data_folder_instead_of_file(tmp_path):
    path = write(tmp_path)
    (tmp_path / "rows.jsonl").unlink()
    (tmp_path / "rows.jsonl").mkdir()
    assert "rows.jsonl: is a folder; expected a jsonl file" in message(path)


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        ("rows.csv", b"text,id\none,1\ntwo\n", "rows.csv:3: 1 cells; the header has 2"),
        ("rows.csv", b"text,text\none,1\n", "rows.csv:1: duplicate column name in the header"),
        ("rows.csv", b'text\n"one\n', "rows.csv:2: not valid CSV"),
        ("rows.csv", b'text\n"a\nb"\n" "\n', "rows.csv:4: text: is missing or empty"),
        ("rows.json", b'{"text": "one"}', "rows.json:1: expected a JSON array of objects"),
        ("rows.json", b'[{"text": "one"},\n\n {"text": }]', "rows.json:3: not valid JSON"),
        ("rows.json", b'[{"text": "one"}\n {"text": "two"}]', "rows.json:2: not valid JSON: expected ','"),
        ("rows.json", b'[{"text": "one"},\n  7]', "rows.json:2: expected a JSON object, not int"),
        ("rows.parquet", b"PAR1 but not really", "rows.parquet: not a valid Parquet file"),
        ("rows.txt", b"text", "rows.txt: unknown kind of data file; expected .jsonl"),
    ],
)
def test_faulty_files_of_other_formats(tmp_path, name, rows, expected):
    path = write(tmp_path, GOOD.replace("rows.jsonl", name), rows, name)
    assert expected in message(path)


def test_validate_collects_all_faults_with_lines(tmp_path):
    rows = ROWS + b"{oops\n" + b'{"prompt_id": "b", "text": "Again?"}\n' + b'{"prompt_id": "c", "text": 3}\n'
    path = write(tmp_path, rows=rows)
    for target in (path, tmp_path / "rows.jsonl"):
        result = CliRunner().invoke(app, ["validate", str(target)])
        assert result.exit_code == 2
        for line in (
            ":3: not valid JSON",
            ":4: prompt_id: duplicate 'b'; first at",
            ":5: text: ",
        ):
            assert line in result.output
    result = CliRunner().invoke(app, ["validate", str(path), "--format", "json"])
    (check,) = json.loads(result.stdout)
    assert (check["ok"], check["rows"], len(check["errors"])) == (False, 3, 3)


def test_validate_reports_count_and_stops_listing_at_twenty(tmp_path):
    path = write(tmp_path, GOOD + "    expected_rows: 5\n", b"{oops\n" * 100)
    result = CliRunner().invoke(app, ["validate", str(path)])
    assert result.exit_code == 2
    assert "and 81 more" in result.output


def test_validate_good_file_agrees_with_load(tmp_path):
    path = write(tmp_path)
    result = CliRunner().invoke(app, ["validate", str(path), "--format", "json"])
    assert result.exit_code == 0
    (check,) = json.loads(result.stdout)
    assert check["content_hash"] == load_suite(str(path)).content_hash
    assert check["rows"] == 2
