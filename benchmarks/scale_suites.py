"""Peak memory and speed of `suites validate` on a large file, against reading the file with pandas.

Each measurement runs in its own process, so that its peak resident memory is its own; the two sides
alternate. The goal applies to ours only: one million rows validated under 1 GB.

    python benchmarks/scale_suites.py [--rows N] [--rounds N] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

GOAL_BYTES = 1_000_000_000
CATEGORIES = 20
SUFFIXES = ("jsonl", "csv", "parquet")
VALIDATE = """
import sys
from typer.testing import CliRunner
from aligner_bench.cli.suites import app
result = CliRunner().invoke(app, ["validate", sys.argv[1]], catch_exceptions=False)
assert result.exit_code == 0, result.output
assert f"{int(sys.argv[2]):,} rows" in result.output, result.output
"""
PANDAS = """
import sys
import pandas as pd
readers = {"jsonl": lambda p: pd.read_json(p, lines=True), "csv": pd.read_csv, "parquet": pd.read_parquet}
frame = readers[sys.argv[1].rsplit(".", 1)[1]](sys.argv[1])
assert len(frame) == int(sys.argv[2]) and frame.prompt_id.is_unique and frame.text.str.strip().ne("").all()
"""


def rows(n: int) -> Iterator[dict[str, str]]:
    """Yield rows of about 250 bytes with distinct ids and texts."""
    for i in range(n):
        text = f"Question {i} of a long file: what follows from {i * 7919 % 1_000_003}? " + "Say why. " * 12
        yield {"prompt_id": f"row-{i:09d}", "text": text, "category": f"topic-{i % CATEGORIES}"}


def write_files(folder: Path, n: int) -> None:
    import csv

    import pyarrow as pa
    import pyarrow.parquet as pq

    paths = [folder / f"rows.{suffix}" for suffix in SUFFIXES]
    schema = pa.schema([(name, pa.string()) for name in ("prompt_id", "text", "category")])
    with paths[0].open("w") as lines, paths[1].open("w", newline="") as table:
        writer = csv.DictWriter(table, schema.names)
        writer.writeheader()
        with pq.ParquetWriter(paths[2], schema) as parquet:
            batch: list[dict[str, str]] = []
            for row in rows(n):
                lines.write(json.dumps(row) + "\n")
                writer.writerow(row)
                batch.append(row)
                if len(batch) == 50_000:
                    parquet.write_table(pa.Table.from_pylist(batch, schema))
                    batch = []
            if batch:
                parquet.write_table(pa.Table.from_pylist(batch, schema))


def measure(code: str, path: Path, n: int) -> tuple[int, float]:
    """Return the peak resident memory in bytes and the wall time in seconds of a child process."""
    root = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "COLUMNS": "200"}
    started = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-c", code, str(path), str(n)], env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"measuring {path.name} failed with exit code {child.returncode}")
    unit = 1 if platform.system() == "Darwin" else 1024
    return usage.ru_maxrss * unit, time.perf_counter() - started


def measure_format(path: Path, n: int, rounds: int) -> dict[str, object]:
    ours, rival = [], []
    for _ in range(rounds):
        ours.append(measure(VALIDATE, path, n))
        rival.append(measure(PANDAS, path, n))
    ours_peak, rival_peak = (max(peak for peak, _ in side) for side in (ours, rival))
    ours_time, rival_time = (statistics.median(seconds for _, seconds in side) for side in (ours, rival))
    return {
        "name": f"scale_suites_{path.suffix[1:]}",
        "what": "peak resident bytes of validating all rows",
        "rows": n,
        "file_bytes": path.stat().st_size,
        "rounds": rounds,
        "ours": ours_peak,
        "rival": rival_peak,
        "ratio": round(rival_peak / ours_peak, 2),
        "goal": GOAL_BYTES,
        "ok": ours_peak < GOAL_BYTES,
        "ours_rows_per_second": round(n / ours_time),
        "rival_rows_per_second": round(n / rival_time),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="100,000 rows, one round")
    options = parser.parse_args()
    n, rounds = (100_000, 1) if options.quick else (options.rows, options.rounds)
    if options.write:
        write_files(options.write, n)
        return
    with tempfile.TemporaryDirectory() as folder:
        # Linux counts the parent's memory at the fork into a child's peak, so the parent must stay small.
        subprocess.run([sys.executable, __file__, "--rows", str(n), "--write", folder], check=True)
        paths = [Path(folder) / f"rows.{suffix}" for suffix in SUFFIXES]
        results = [measure_format(path, n, rounds) for path in paths]
    print(f"{n:,} rows, {rounds} round(s); peak memory in MB, speed in rows a second")
    print(
        f"{'format':10}{'file MB':>9}{'validate MB':>13}{'pandas MB':>11}{'validate/s':>12}{'pandas/s':>10}"
    )
    for result in results:
        name = str(result["name"]).removeprefix("scale_suites_")
        megabytes = [f"{int(str(result[key])) / 1e6:,.0f}" for key in ("file_bytes", "ours", "rival")]
        speeds = [f"{result[key]:,}" for key in ("ours_rows_per_second", "rival_rows_per_second")]
        widths = (9, 13, 11, 12, 10)
        print(f"{name:10}" + "".join(f"{c:>{w}}" for c, w in zip(megabytes + speeds, widths, strict=True)))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
