"""Time of ``aligner-bench --help``, against a bare typer program and against ``lm-eval --help``.

Each runs in its own process, with the same interpreter and the console script's two lines, output
discarded; the three alternate, and the first round, which fills the file cache, does not count. Needs the
package lm-eval for the second comparison.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from _common import arguments, finish, spread

ROUNDS, QUICK_ROUNDS = 25, 7
TYPER = '''"""One command with one option."""
import typer

app = typer.Typer()


@app.command()
def hello(name: str = "you") -> None:
    """Say hello."""
    typer.echo(name)


app()
'''
STARTS = {
    "aligner-bench": "import sys; from aligner_bench.cli.main import main; sys.exit(main())",
    "lm-eval": "import sys; from lm_eval.__main__ import cli_evaluate; sys.exit(cli_evaluate())",
}
ROOT = Path(__file__).resolve().parents[1]


def seconds(command: list[str]) -> float:
    """Return the wall time of one call, which must succeed."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    return time.perf_counter() - begin


def row(name: str, ours: list[float], rival: list[float], goal: float) -> dict[str, object]:
    """Return the ratio of medians, and its range over the rounds."""
    a, b = spread(ours), spread(rival)
    ratio, rounds = a["median"] / b["median"], [x / y for x, y in zip(ours, rival, strict=True)]
    low, high = min(rounds), max(rounds)
    print(f"against {name:<14} {b['median']:.3f} s  ratio {ratio:.2f} ({low:.2f} to {high:.2f}), goal {goal}")
    return {
        "name": f"startup/{name}",
        "ours": a["median"],
        "rival": b["median"],
        "unit": "s",
        "ratio": ratio,
        "ratio_range": [low, high],
        "goal": goal,
        "ok": ratio <= goal,
    }


def main() -> None:
    options = arguments(__doc__ or "")
    with tempfile.TemporaryDirectory() as home:
        script = Path(home) / "bare.py"
        script.write_text(TYPER, encoding="utf-8")
        commands = {name: [sys.executable, "-c", code, "--help"] for name, code in STARTS.items()}
        commands["bare typer"] = [sys.executable, str(script), "--help"]
        if find_spec("lm_eval") is None:
            print("lm-eval is not installed: that comparison is left out (pip install lm-eval)")
            del commands["lm-eval"]
        times: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(1 + (QUICK_ROUNDS if options.quick else ROUNDS)):
            for name, command in commands.items():
                taken = seconds(command)
                if turn:
                    times[name].append(taken)
    ours = times.pop("aligner-bench")
    print(f"aligner-bench --help   {spread(ours)['median']:.3f} s, {len(ours)} rounds")
    goals = {"bare typer": 2.0, "lm-eval": 1.0}
    finish("startup", [row(name, ours, rival, goals[name]) for name, rival in times.items()], options)


if __name__ == "__main__":
    main()
