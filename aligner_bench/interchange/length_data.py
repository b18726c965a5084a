"""Read AlpacaEval's ``df_gamed.csv``, an input of its length-controlled rate.

The file has, for two prompted forms of the reference model, one row per instruction: ``index`` (its position
among the 805), ``preference`` in [0, 1], ``std_delta_len`` and ``instruction_difficulty``.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from aligner_bench.core.errors import UsageError
from aligner_bench.results.length import LengthData

_COLUMNS = ("index", "preference", "std_delta_len", "instruction_difficulty")


def read_gamed(path: Path, prompt_ids: Sequence[str]) -> LengthData:
    """Read difficulties by prompt_id and the gamed rows; ``prompt_ids`` are the 805 in AlpacaEval's order.

    UsageError for a file without these columns or numbers, or with an index that no prompt has.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file; expected AlpacaEval's df_gamed.csv")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    absent = [name for name in _COLUMNS if not rows or name not in rows[0]]
    if absent:
        raise UsageError(f"{path}: column {absent[0]!r} is missing; expected AlpacaEval's df_gamed.csv")
    difficulty: dict[str, float] = {}
    gamed = []
    for number, row in enumerate(rows, 2):
        try:
            preference, delta, hard = (float(row[name]) for name in _COLUMNS[1:])
            difficulty.setdefault(prompt_ids[int(float(row["index"]))], hard)
        except (ValueError, IndexError) as error:
            raise UsageError(f"{path}:{number}: not a row of df_gamed.csv ({error})") from error
        gamed.append([preference, delta, hard])
    return {"difficulty": difficulty, "gamed": gamed}
