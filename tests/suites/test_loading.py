"""Sources, columns, hashes and limits, on small suites written on the spot."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aligner_bench.core.errors import UsageError
from aligner_bench.core.hashing import canonical_json, digest, sha256_text
from aligner_bench.core.packaged import packaged_dir
from aligner_bench.suites.load import load_suite
from aligner_bench.suites.types import Message, Prompt, Suite, content_hash

ROWS = [
    {"prompt_id": f"m-{i:02d}", "text": f"Question {i}, please?", "category": "ab"[i % 3 == 0]}
    for i in range(12)
]


def write_suite(folder: Path, source: str, extra: str = "", name: str = "mine") -> str:
    path = folder / f"{name}.yaml"
    path.write_text(f"name: {name}\nversion: 1\nlicence: MIT\n{extra}sources:\n{source}", encoding="utf-8")
    return str(path)


def write_rows(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def make_suite(prompts: list[Prompt]) -> Suite:
    categories = tuple(sorted({p.category for p in prompts}))
    hashed = content_hash(p.content_digest() for p in prompts)
    return Suite("s", "1", "MIT", "test", hashed, tuple(prompts), categories)


def test_every_format_gives_the_same_suite(tmp_path):
    write_rows(tmp_path / "a.jsonl", ROWS)
    (tmp_path / "a.json").write_text(json.dumps(ROWS, indent=1))
    header = "prompt_id,text,category\n"
    lines = (f'{r["prompt_id"]},"{r["text"]}",{r["category"]}\r\n' for r in ROWS)
    (tmp_path / "a.csv").write_text("\ufeff" + header + "".join(lines), encoding="utf-8", newline="")
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    hashes = set()
    for suffix in ("jsonl", "json", "csv", "parquet"):
        suite = load_suite(write_suite(tmp_path, f"  - {{kind: packaged, path: a.{suffix}}}\n"))
        assert [p.prompt_id for p in suite.prompts] == [row["prompt_id"] for row in ROWS]
        hashes.add(suite.content_hash)
    assert len(hashes) == 1


def test_columns_templates_history_and_references(tmp_path):
    row = {
        "q": "And_comma_ now?",
        "topic": 7,
        "good": "yes; y;",
        "bad": ["no"],
        "turns": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}],
    }
    write_rows(tmp_path / "a.jsonl", [row])
    source = """  - kind: packaged
    path: a.jsonl
    columns:
      prompt_id: {template: "x-{topic:03d}-{row:02d}"}
      text: {column: q, replace: {_comma_: ","}}
      category: topic
      family: {const: one}
      references: {column: good, split: ";"}
      incorrect: bad
      history: turns
"""
    suite = load_suite(write_suite(tmp_path, source, "categories: {7: seven, 8: eight}\nrelevant: [8]\n"))
    history = (Message("user", "Hello"), Message("assistant", "Hi"))
    expected = Prompt("x-007-00", "And, now?", "seven", None, "one", ("yes", "y"), ("no",), history)
    assert suite.prompts == (expected,)
    assert suite.categories == ("seven", "eight")
    assert suite.relevant == ("eight",)


def test_without_id_column_the_text_is_the_id(tmp_path):
    write_rows(tmp_path / "a.jsonl", [{"instruction": "One"}, {"instruction": "Two"}])
    suite = load_suite(write_suite(tmp_path, "  - {kind: packaged, path: a.jsonl}\n"))
    assert [p.prompt_id for p in suite.prompts] == [sha256_text(t)[:12] for t in ("One", "Two")]


def test_sources_are_tried_in_order(tmp_path, monkeypatch):
    data = tmp_path / "data"
    data.mkdir()
    source = "  - {kind: packaged, path: none.jsonl}\n  - {kind: local, path: a.jsonl}\n"
    path = write_suite(tmp_path, source)
    write_rows(data / "a.jsonl", ROWS)
    assert load_suite(path, data_dir=data).source == "local a.jsonl"
    monkeypatch.setenv("ALIGNER_BENCH_DATA", str(data))
    assert len(load_suite(path)) == 12
    write_rows(tmp_path / "none.jsonl", ROWS[:3])
    assert load_suite(path).source == "packaged none.jsonl"


def test_hub_source_through_the_real_client(tmp_path, monkeypatch):
    """`datasets.load_dataset` takes a folder for a data set, so the real code runs without a network."""
    datasets = pytest.importorskip("datasets", reason="the hub extra is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    hub = tmp_path / "hub"
    hub.mkdir()
    write_rows(hub / "test.jsonl", ROWS)
    commit = "0123456789abcdef0123456789abcdef01234567"
    source = f"""  - kind: hub
    dataset: {hub}
    split: test
    where: {{category: a}}
    expected_rows: 8
"""
    path = write_suite(tmp_path, source)
    with pytest.raises(UsageError, match="no revision is pinned: set ALIGNER_BENCH_REVISION_MINE"):
        load_suite(path)
    monkeypatch.setenv("ALIGNER_BENCH_REVISION_MINE", "main")
    with pytest.raises(UsageError, match="expected a commit of 40 hexadecimal digits"):
        load_suite(path)
    monkeypatch.setenv("ALIGNER_BENCH_REVISION_MINE", commit)
    suite = load_suite(path)
    assert suite.source.endswith(f"@{commit}")
    assert [p.prompt_id for p in suite.prompts] == [r["prompt_id"] for r in ROWS if r["category"] == "a"]


def test_row_order_changes_neither_hash_nor_limit(tmp_path):
    shuffled = ROWS.copy()
    random.Random(3).shuffle(shuffled)
    suites = []
    for name, rows in (("one", ROWS), ("two", shuffled)):
        write_rows(tmp_path / f"{name}.jsonl", rows)
        path = write_suite(tmp_path, f"  - {{kind: packaged, path: {name}.jsonl}}\n", name=name)
        suites.append(load_suite(path))
    assert suites[0].content_hash == suites[1].content_hash
    for n in (1, 4, 7):
        one, two = (suite.limit(n, seed=5) for suite in suites)
        assert {p.prompt_id for p in one.prompts} == {p.prompt_id for p in two.prompts}
        assert one.content_hash == two.content_hash
        kept = {p.prompt_id for p in two.prompts}
        assert [p.prompt_id for p in two.prompts] == [
            r["prompt_id"] for r in shuffled if r["prompt_id"] in kept
        ]


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    n=st.integers(1, 40),
    seed=st.integers(0, 2**40),
)
def test_limit_is_balanced(sizes, n, seed):
    prompts = [Prompt(f"{c}-{i}", "q", f"c{c}") for c, size in enumerate(sizes) for i in range(size)]
    limited = make_suite(prompts).limit(n, seed)
    assert len(limited) == min(n, len(prompts))
    taken = {f"c{c}": sum(p.category == f"c{c}" for p in limited.prompts) for c in range(len(sizes))}
    most = max(taken.values())
    assert all(taken[f"c{c}"] >= min(size, most - 1) for c, size in enumerate(sizes))
    assert limited == make_suite(prompts).limit(n, seed)


def test_limit_seeds_differ_and_bad_limits_are_refused():
    suite = make_suite([Prompt(f"p{i}", "q") for i in range(50)])
    assert suite.limit(5, 0).prompts != suite.limit(5, 1).prompts
    with pytest.raises(ValueError, match="at least 1"):
        suite.limit(0)


@pytest.mark.parametrize(
    "change",
    [
        {"text": "other"},
        {"prompt_id": "other"},
        {"category": "other"},
        {"criterion": "other"},
        {"family": "other"},
        {"references": ("other",)},
        {"incorrect": ("other",)},
        {"history": (Message("user", "other"),)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_hash_sees_every_field(change):
    base = {"prompt_id": "a", "text": "q"}
    assert Prompt(**base).content_digest() != Prompt(**{**base, **change}).content_digest()


def test_canonical_json_and_digest():
    assert canonical_json({"b": 0.1, "a": ["ü", None, True]}) == '{"a":["ü",null,true],"b":0.1}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert len(digest({"half": "\ud800"})) == 64
    assert digest(["\ud800"]) != digest(["\ud801"])
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(float("nan"))


def test_packaged_dir_is_the_source_tree_here():
    assert (packaged_dir("suites") / "quick-facts.yaml").is_file()
