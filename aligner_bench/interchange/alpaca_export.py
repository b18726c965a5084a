"""``export alpaca-eval``: write a run as AlpacaEval 2 result files.

    DIR/MODEL/model_outputs.json
    DIR/MODEL/JUDGE/annotations.json
    DIR/JUDGE_leaderboard.csv

With several suites DIR has a folder for each; with several baselines JUDGE is followed by ``_vs_BASELINE``.
A preference is exported as the mean of both orders plus 1, a pair without a verdict as null.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aligner_bench.core.errors import UsageError
from aligner_bench.core.files import write_text
from aligner_bench.core.preferences import combine
from aligner_bench.results.comparisons import Comparison
from aligner_bench.runs import Run
from aligner_bench.store.tables import Row, group, storable

_METRICS = ("win_rate", "standard_error", "n_wins", "n_wins_base", "n_draws")
_COLUMNS = ("", *_METRICS, "n_total", "discrete_win_rate", "mode", "avg_length")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")
Answers = dict[tuple[str, str], Row]


def export_alpaca_eval(run: Run, out: Path) -> list[Path]:
    """Write all files and return their paths, in the order of writing.

    As in AlpacaEval, missing and failed answers are omitted from ``model_outputs.json``, and the pairs that
    could therefore not be judged from ``annotations.json``; the leaderboard's ``avg_length`` counts them as
    empty. UsageError if two systems or judges would have the same folder name.
    """
    if out.is_file():
        raise UsageError(f"{out}: is a file; expected a folder for the export")
    rows = run.results().rows
    responses = group(run.rows("responses"), "suite")
    prompts = group(run.rows("prompts"), "suite")
    verdicts = group(run.rows("verdicts"), "suite", "judge", "candidate", "baseline")
    written = []
    for (suite,), answered in responses.items():
        folder = out / _folders([key[0] for key in responses])[suite] if len(responses) > 1 else out
        texts = {row["prompt_id"]: row for row in prompts[(suite,)]}
        written += _suite(folder, texts, answered, verdicts, [row for row in rows if row.suite == suite])
    return written


def _suite(
    folder: Path,
    prompts: dict[str, Row],
    responses: Sequence[Row],
    verdicts: dict[tuple[Any, ...], Sequence[Row]],
    comparisons: Sequence[Comparison],
) -> list[Path]:
    models = _folders(row["system"] for row in responses)
    boards = _boards(comparisons)
    answers = {(row["system"], row["prompt_id"]): row for row in responses}
    written = []
    for system, name in models.items():
        records = [_output(prompts[key], row) for (who, key), row in answers.items() if who == system]
        written.append(_dump(folder / name / "model_outputs.json", [r for r in records if r]))
    for row in comparisons:
        found = group(verdicts[row.suite, row.judge, row.system, row.baseline], "prompt_id")
        annotated = [_annotation(row, prompts[key], pair, answers) for (key,), pair in found.items()]
        target = folder / models[row.system] / boards[row.judge, row.baseline] / "annotations.json"
        written.append(_dump(target, [r for r in annotated if r]))
    for board, name in boards.items():
        members = [row for row in comparisons if (row.judge, row.baseline) == board]
        written.append(_write(folder / f"{name}_leaderboard.csv", _leaderboard(members)))
    return written


def _boards(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], str]:
    """Return (judge, baseline) -> folder name."""
    boards = list(dict.fromkeys((row.judge, row.baseline) for row in comparisons))
    several = len({baseline for _, baseline in boards}) > 1
    titles = {f"{judge}_vs_{baseline}" if several else judge: (judge, baseline) for judge, baseline in boards}
    return {titles[title]: name for title, name in _folders(titles).items()}


def _folders(names: Iterable[str]) -> dict[str, str]:
    """Return names -> folder names that are valid on any system."""
    safe = {name: _UNSAFE.sub("_", name).strip(".") or "_" for name in names}
    owners: dict[str, str] = {}
    for name, folder in safe.items():
        if owners.setdefault(folder.lower(), name) != name:
            raise UsageError(
                f"{name!r} and {owners[folder.lower()]!r} would share the folder {folder}; rename one of them"
            )
    return safe


def _output(prompt: Row, response: Row) -> dict[str, Any] | None:
    if response["status"] in ("error", "missing"):
        return None
    record = {
        "dataset": prompt["category"],
        "instruction": prompt["prompt"],
        "output": response["text"],
        "generator": response["system"],
    }
    return record if response["upstream"] is None else {**record, "original_output": response["upstream"]}


def _annotation(row: Comparison, prompt: Row, verdicts: Sequence[Row], answers: Answers) -> Row | None:
    preference = combine(verdicts)
    if preference.status == "missing":
        return None
    key = prompt["prompt_id"]
    return {
        "instruction": prompt["prompt"],
        "output_1": answers[row.baseline, key]["text"],
        "generator_1": row.baseline,
        "dataset": prompt["category"],
        "output_2": answers[row.system, key]["text"],
        "generator_2": row.system,
        "annotator": row.judge,
        "preference": None if preference.value is None else preference.value + 1,
        "raw_completion": "; ".join(filter(None, (verdict["detail"] for verdict in verdicts))) or None,
    }


def _leaderboard(rows: Sequence[Comparison]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in sorted(rows, key=lambda row: -(row.win_rate or 0.0)):
        metrics = [getattr(row, name) for name in _METRICS]
        rest = (row.n, row.discrete_win_rate, "community", row.avg_length)
        writer.writerow([storable(row.system), *metrics, *rest])
    return stream.getvalue()


def _dump(path: Path, records: Sequence[Row]) -> Path:
    return _write(path, json.dumps(records, indent=2, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path
