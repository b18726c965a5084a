"""The reference-copy screen on the published outputs, and text that does a terminal no harm."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aligner_bench.core.textsafe import terminal_safe
from aligner_bench.texts.copies import copy_screen

RESULTS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "alpaca_eval" / "results"
needs_data = pytest.mark.skipif(not RESULTS.is_dir(), reason=f"no AlpacaEval results at {RESULTS}")
ALIGNER = "aligner-2b_gpt-4-turbo-2024-04-09"


def outputs(model: str, field: str = "output") -> dict[str, str]:
    records = json.loads((RESULTS / model / "model_outputs.json").read_text(encoding="utf-8"))
    return {record["instruction"]: record[field] for record in records}


@needs_data
def test_golden_vector_11():
    screen = copy_screen(outputs(ALIGNER), outputs("gpt4_1106_preview"))
    assert (screen.identical, screen.prefix_sharing, screen.n) == (65, 136, 805)
    assert len(screen.ids) == 136
    assert set(screen.identical_ids) < set(screen.ids)


@needs_data
def test_copies_of_the_upstream():
    assert copy_screen(outputs(ALIGNER), outputs(ALIGNER, "original_output")).identical == 39


def test_strips_ignores_blanks_and_missing_references():
    screen = copy_screen(
        {"a": " x ", "b": "", "c": "y", "d": "pq"}, {"a": "x\n", "b": " ", "d": "pz"}, prefix=1
    )
    assert (screen.identical, screen.prefix_sharing, screen.n) == (1, 2, 3)
    assert screen.ids == ("a", "d")
    with pytest.raises(ValueError, match="at least 1"):
        copy_screen({}, {}, prefix=0)


@pytest.mark.parametrize(
    ("hostile", "safe"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jgone", "gone"),
        ("\x1b\x1b[2J[2Jx", "[2Jx"),
        ("a\rb\x08\x00\x7fc", "abc"),
        ("\u202etxt\u2066", "txt"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("half \ud83d pair", "half \ufffd pair"),
        ("\x1b]0;no end", "0;no end"),
        ("naïve 日本 🙂", "naïve 日本 🙂"),
    ],
)
def test_terminal_safe(hostile, safe):
    assert terminal_safe(hostile) == safe


@given(st.text(alphabet="\x1b\x9b\x9d[]0;m\x07\\\x08\r\n\tab\u202e\ud800P^_X"))
def test_nothing_harmful_survives(text):
    safe = terminal_safe(text)
    assert not any(ord(c) < 32 and c not in "\n\t" for c in safe)
    assert not any(0x7F <= ord(c) <= 0x9F or c in "\u202e\ud800" for c in safe)
    assert terminal_safe(safe) == safe
    safe.encode()
