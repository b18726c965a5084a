"""The shape of the package, read from its syntax trees: no circle of imports, small modules and functions.

`make check` runs import-linter for the order of the rooms; this test needs no tool and prints its counts.
"""

from __future__ import annotations

import ast
import statistics
from functools import cache
from pathlib import Path

import pytest

import aligner_bench

PACKAGE = Path(aligner_bench.__file__).parent
ROOT_MODULES, MODULE_LINES, MEDIAN_LINES, FUNCTION_LINES = 6, 400, 120, 50


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


@cache
def trees() -> dict[str, ast.Module]:
    """Module -> its syntax tree."""
    return {name_of(path): ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def imported(name: str) -> set[str]:
    """Every module of ours that a module imports: at the top, in functions, and for types only."""
    found = set()
    for node in ast.walk(trees()[name]):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "aligner_bench":
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {part if part in trees() else str(node.module) for part in inner}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in trees()}
    return found - {name}


def circles() -> list[list[str]]:
    """Strongly connected sets of more than one module (Tarjan 1972)."""
    edges = {name: imported(name) for name in trees()}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in edges[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            component = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(component) > 1:
                found.append(component)

    for name in edges:
        if name not in index:
            visit(name)
    return found


def test_no_circle_over_all_imports():
    edges = sum(len(imported(name)) for name in trees())
    print(f"{len(trees())} modules, {edges} imports, {len(circles())} circles")
    assert circles() == []


def test_the_circle_search_finds_a_circle(monkeypatch):
    made = {"a": "from aligner_bench.b import x", "b": "def f():\n    from aligner_bench.a import y"}
    parsed = {f"aligner_bench.{name}": ast.parse(text) for name, text in made.items()}
    monkeypatch.setitem(globals(), "trees", lambda: parsed)
    assert [sorted(circle) for circle in circles()] == [["aligner_bench.a", "aligner_bench.b"]]


def test_few_modules_at_the_root_and_none_too_long():
    lines = {path: len(path.read_text("utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    modules = {path: n for path, n in lines.items() if path.name != "__init__.py"}
    print(f"{len(lines)} files, longest {max(lines.values())}, median {statistics.median(modules.values())}")
    assert len(list(PACKAGE.glob("*.py"))) <= ROOT_MODULES
    assert {path: n for path, n in lines.items() if n > MODULE_LINES} == {}
    assert statistics.median(modules.values()) <= MEDIAN_LINES


def test_no_function_is_too_long():
    long = [
        f"{name}.{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES
    ]
    assert long == []


@pytest.mark.parametrize("room", sorted(p.name for p in PACKAGE.iterdir() if (p / "__init__.py").is_file()))
def test_each_room_says_what_it_owns(room):
    words = (ast.get_docstring(trees()[f"aligner_bench.{room}"]) or "").split("\n\n")[0]
    assert words.count(". ") == 0, f"{room}/__init__.py: one sentence that says what the room owns: {words!r}"
    assert words.endswith(".")
