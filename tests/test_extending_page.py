"""``docs/extending.md``: its code is the example package's, and its table is all that the package needs."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.conftest import ROOT

EXAMPLE = ROOT / "tests" / "plugin_example"
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
BLOCK = re.compile(r"<!-- tests/plugin_example/(\S+) -->\n```\w+\n(.*?)```\n", re.DOTALL)
ROW = re.compile(r"^\| (\w+) \| `(\S+)` \| `(\S+)` \| `(.+)` \|$", re.MULTILINE)
SHOWN = dict(BLOCK.findall(PAGE))


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_each_block_is_the_file_word_for_word(name):
    assert SHOWN[name] == (EXAMPLE / name).read_text("utf-8")


PARTS = re.findall(r"<!-- (aligner_bench/\S+) -->\n```\w+\n(.*?)```\n", PAGE, re.DOTALL)


@pytest.mark.parametrize(("name", "text"), PARTS)
def test_each_part_of_a_measure_is_the_packages_own(name, text):
    assert text in (ROOT / name).read_text("utf-8")


def test_a_measure_takes_three_places():
    assert len(PARTS) == 3


def test_every_file_of_the_example_is_shown():
    modules = {str(path.relative_to(EXAMPLE)) for path in EXAMPLE.glob("*/*.py")}
    assert set(SHOWN) == modules - {"aligner_bench_example/__init__.py"} | {
        "pyproject.toml",
        "experiment.yaml",
    }


def test_corrector_and_judge_are_short():
    lines = {name.split("/")[-1]: len(text.splitlines()) for name, text in SHOWN.items()}
    assert lines["corrector.py"] <= 17
    assert lines["judge.py"] <= 23


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target


def test_in_the_package_a_kind_is_one_file_and_one_line_of_a_table(cli, tmp_path):
    """The page's table applied to a copy of the package, in which the example's experiment then runs."""
    shutil.copytree(ROOT / "aligner_bench", tmp_path / "aligner_bench")
    rows = ROW.findall(PAGE)
    assert [kind for kind, *_ in rows] == ["engine", "corrector", "system", "judge", "rater", "suite"]
    for kind, file, registry, line in rows:
        shutil.copy(EXAMPLE / "aligner_bench_example" / f"{kind}.py", tmp_path / "aligner_bench" / file)
        table = tmp_path / "aligner_bench" / registry
        begin = "SYSTEMS = Registry(" if kind == "system" else "= Registry("
        head, opening, rest = table.read_text().partition(begin)
        before, brace, after = rest.partition("{")
        table.write_text(f"{head}{opening}{before}{brace}\n        {line}\n{after}")
    path = {"PYTHONPATH": str(tmp_path), "ALIGNER_BENCH_CACHE": str(tmp_path / "cache")}
    done = cli("run", EXAMPLE / "experiment.yaml", "--out", "out", "--ledger", "l.sqlite", "-q", **path)
    assert done.returncode == 0, done.stderr
    assert "voted beats base (arithmetic, facts)" in " ".join(done.stdout.split())
    assert '"plugins": []' in (tmp_path / "work" / "out" / "manifest.json").read_text()
