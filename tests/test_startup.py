"""Start-up stays light: no command's help, and not the import, brings a heavy package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    *("torch", "transformers", "pandas", "matplotlib", "scipy", "ray", "statsmodels", "pyarrow", "sklearn"),
    *("yaml", "numpy", "httpx"),  # what our own modules bring; typer itself brings pydantic
)
COMMANDS = (
    [],
    ["demo"],
    ["plan"],
    ["run"],
    ["leaderboard"],
    ["report"],
    ["schema"],
    ["tax"],
    ["suites"],
    ["suites", "list"],
    ["suites", "show"],
    ["suites", "validate"],
    ["ledger"],
    ["ledger", "stats"],
    ["judge"],
    ["judge", "audit"],
    ["judge", "calibrate"],
    ["judge", "bridge"],
)
SCRIPT = """
import sys
sys.argv = ["aligner-bench", *{args!r}]
try:
    {body}
except SystemExit as end:
    assert not end.code, end.code
print([name for name in {heavy!r} if name in sys.modules])
"""


def heavy_after(body: str, args: list[str]) -> str:
    code = SCRIPT.format(args=args, body=body, heavy=HEAVY)
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    return done.stdout.strip().splitlines()[-1]


def test_import_is_light():
    assert heavy_after("import aligner_bench", []) == "[]"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_is_light(command):
    body = "from aligner_bench.cli.main import main; main()"
    assert heavy_after(body, [*command, "--help"]) == "[]"


def test_public_names_come_on_first_use():
    import aligner_bench

    assert aligner_bench.Experiment.__name__ == "Experiment"
    assert callable(aligner_bench.run)
    with pytest.raises(AttributeError, match="no attribute 'Experimnt'"):
        _ = aligner_bench.Experimnt
