"""What became of the calls to servers, after a run: one line a model that had trouble."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer


def show_calls(engines: Mapping[str, Mapping[str, Any]]) -> None:
    """Calls, tries, and what was tried again or failed, by kind. Models without trouble are not named."""
    for model, facts in engines.items():
        retries, failures = facts.get("retries"), facts.get("failures")
        if not (retries or failures):
            continue
        line = f"{model}: {facts['calls']} calls in {facts['tries']} tries"
        line += f"; tried again: {_kinds(retries)}" if retries else ""
        line += f"; failed: {_kinds(failures)}" if failures else ""
        typer.echo(line)


def _kinds(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())
