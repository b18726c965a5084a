"""Summarise server calls after a run: one line per model with retries or failures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer


def show_calls(engines: Mapping[str, Mapping[str, Any]]) -> None:
    """Print calls, attempts, retries and failures by kind, for models with retries or failures."""
    for model, facts in engines.items():
        retries, failures = facts.get("retries"), facts.get("failures")
        if not (retries or failures):
            continue
        line = f"{model}: {facts['calls']} calls in {facts['tries']} attempts"
        line += f"; retried: {_kinds(retries)}" if retries else ""
        line += f"; failed: {_kinds(failures)}" if failures else ""
        typer.echo(line)


def _kinds(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())
