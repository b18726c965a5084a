"""Check traces, and the trajectories table that is derived from them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aligner_bench.store.tables import Row, open_table, storable
from aligner_bench.store.traces import read_trace, trajectory_rows


def trajectory_faults(folder: Path, responses: Iterable[Row]) -> list[str]:
    """Return faults of traces, which must lead from the upstream's answer to the system's, and of their
    table.

    UsageError for a file that is not a table.
    """
    from aligner_bench.store.seal import table_digest

    faults = [fault for row in responses if (fault := _trace_fault(row))]
    written = open_table("trajectories", folder / "trajectories.parquet")
    if table_digest(written) != table_digest(trajectory_rows(responses)):
        faults.append("trajectories.parquet: its steps differ from the traces in responses.parquet")
    return faults


def _trace_fault(row: Row) -> str:
    trace = read_trace(row["trace"])
    if trace.start is None:
        return ""
    end = trace.moves[-1].text if trace.moves else trace.start
    where = f"responses.parquet: the trace of {row['system']} on {row['suite']}/{row['prompt_id']}"
    if row["upstream"] is not None and storable(trace.start) != row["upstream"]:
        return f"{where} does not begin with the upstream's answer"
    return "" if storable(end) == row["text"] else f"{where} does not end with the answer"
