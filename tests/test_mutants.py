"""The list of mutants keeps up with the code: every fragment is still there, once."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("results", "stats", "verify", "compare", "gate", "correctors")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("mutants")


def test_every_mutant_applies_and_is_python(script: ModuleType):
    mutants = script.read_mutants()
    assert len(mutants) >= 70
    assert len({(m.file, m.old, m.new) for m in mutants}) == len(mutants)
    faults = []
    for mutant in mutants:
        source = (ROOT / mutant.file).read_text("utf-8")
        try:
            ast.parse(script.mutated(source, mutant))
        except (SyntaxError, ValueError) as error:
            faults.append(f"{mutant.file}: {mutant.says}: {error}")
        for word in shlex.split(mutant.tests):
            if word.startswith("tests/") and not (ROOT / word.split("::")[0]).is_file():
                faults.append(f"{mutant.file}: {mutant.says}: no {word}")
    assert faults == []


def test_every_room_has_mutants(script: ModuleType):
    files = {m.file for m in script.read_mutants()}
    for room in ROOMS:
        assert any(file.startswith(f"aligner_bench/{room}/") for file in files), room


def test_a_fragment_that_is_gone_or_doubled_is_named(script: ModuleType):
    mutant = script.Mutant("a.py", "x is y", "x", "y", "")
    with pytest.raises(ValueError, match="'x' occurs 0 times, expected once"):
        script.mutated("z", mutant)
    with pytest.raises(ValueError, match="'x' occurs 2 times"):
        script.mutated("x = x", mutant)
    assert script.mutated("x", mutant) == "y"
