"""Shared parts of the measurements: options, the machine's description, and storage of results."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Public data beside the repository; --data-dir overrides it."""


def arguments(
    description: str, extra: Callable[[argparse.ArgumentParser], None] | None = None
) -> argparse.Namespace:
    """Return the parsed options --quick, --save and --data-dir, and those that ``extra`` adds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: minutes become seconds")
    parser.add_argument("--save", action="store_true", help="keep the result in benchmarks/results/")
    parser.add_argument("--data-dir", type=Path, default=DATA, help="folder with the public data sets")
    if extra is not None:
        extra(parser)
    return parser.parse_args()


def machine() -> str:
    """Return processor, cores and Python version: enough to compare two results, without a host name."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, minimum and maximum of repeated measurements."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def finish(name: str, rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Print the rows as one JSON list (one object if there is one row); store them with --save."""
    stamped = [{**row, "machine": machine()} for row in rows]
    payload = stamped[0] if len(stamped) == 1 else stamped
    if options.save:
        RESULTS.mkdir(exist_ok=True)
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        kept = {"date": today, "machine": machine(), "quick": options.quick, "results": payload}
        (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(payload))
