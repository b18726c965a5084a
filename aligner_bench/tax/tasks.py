"""Load tasks by name: a task of lm-eval, a task file, or a suite with reference answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.suites.load import load_suite
from aligner_bench.texts.match import matches

SUITE = "suite:"
METRIC = "correct"


def load_tasks(names: list[str], data_dir: Path | None, max_new_tokens: int) -> tuple[list[Any], Any]:
    """Return the tasks for ``lm_eval.simple_evaluate`` and its task manager. UsageError for unknown tasks."""
    from lm_eval.tasks import TaskManager

    files = [Path(name) for name in names if _is_file(name)]
    for file in files:
        if not file.is_file():
            raise UsageError(f"tax: no such task file: {file}")
    folders = sorted({str(file.resolve().parent) for file in files})
    manager = TaskManager(include_path=folders or None)
    return [_task(name, manager, data_dir, max_new_tokens) for name in names], manager


def _is_file(name: str) -> bool:
    """Return whether a name is an lm-eval task file; a suite's file has the prefix ``suite:``."""
    return name.endswith((".yaml", ".yml")) and not name.startswith(SUITE)


def _task(name: str, manager: Any, data_dir: Path | None, max_new_tokens: int) -> Any:
    if name.startswith(SUITE):
        return _suite_task(name.removeprefix(SUITE), data_dir, max_new_tokens)
    if _is_file(name):
        return _task_name(Path(name))
    if name not in manager.all_tasks:
        raise UsageError(
            f"tax: unknown task {name!r}; {nearest(name, manager.all_tasks)[:200]}; also {SUITE}NAME, or a "
            "task file"
        )
    return name


def _task_name(file: Path) -> str:
    from aligner_bench.core.yamlfile import read_yaml

    data = read_yaml(file, "a task of lm-eval").data
    if not isinstance(data, dict) or not isinstance(data.get("task"), str):
        raise UsageError(f"{file}: has no 'task:' name; expected a task of lm-eval")
    return str(data["task"])


def _suite_task(name: str, data_dir: Path | None, max_new_tokens: int) -> Any:
    """Return a task of a suite's prompts; an answer is correct if it matches a reference
    (``texts/match.py``).
    """
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    suite = load_suite(name, data_dir=data_dir)
    rows = [
        {
            "prompt_id": p.prompt_id,
            "family": p.family,
            "question": p.text,
            "references": list(p.references),
        }
        for p in suite.prompts
        if p.references
    ]
    if not rows:
        raise UsageError(f"tax: suite {name!r} has no reference answers, so its answers cannot be scored")
    config = {
        "task": f"{SUITE}{suite.name}",
        "custom_dataset": lambda **_: {"test": Dataset.from_list(rows)},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{references[0]}}",
        "process_results": _scored,
        "metadata": {"version": f"{suite.version} ({suite.content_hash[:16]})"},
        "metric_list": [{"metric": METRIC, "aggregation": "mean", "higher_is_better": True}],
        "generation_kwargs": {"until": [], "max_gen_toks": max_new_tokens, "do_sample": False},
    }
    return ConfigurableTask(config=config)


def _scored(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    return {METRIC: float(matches(results[0], doc["references"]))}
