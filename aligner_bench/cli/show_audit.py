"""Print audits, calibrations and bridges on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from aligner_bench.core.textsafe import one_line


def passed(report: Any) -> bool:
    """Return whether the report found no problem."""
    return not report.flags if hasattr(report, "flags") else bool(report.passed)


def share(number: Any) -> str:
    """Return a share or score with its interval, as in "61.2 (95 % 50.1 to 71.3, n = 72)"."""
    if number is None or number.value is None or number.lower is None or number.upper is None:
        return "not computable"
    low, high = 100 * number.lower, 100 * number.upper
    return f"{100 * number.value:.1f} (95 % {low:.1f} to {high:.1f}, n = {number.n})"


def show(report: Any) -> None:
    """Print one audit: of a judge, of a run, or of a file of outputs."""
    if hasattr(report, "canaries"):
        _judge(report)
    elif hasattr(report, "screens"):
        _run(report)
    else:
        _screen(report)
        typer.echo("FAIL" if report.flags else "PASS")


def _line(name: str, text: str) -> None:
    typer.echo(f"  {name:<42} {text}")


def _counts(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {one_line(name)}" for name, count in found.items()) or "none"


def _judge(report: Any) -> None:
    typer.echo(f"{one_line(report.judge)}: {one_line(report.description)}")
    typer.echo(
        f"identity {report.identity[:16]}, {report.n_pairs} pairs with a known winner; figures in percent"
    )
    _line("accuracy", share(report.accuracy))
    _line(
        "position consistency",
        share(report.consistency) if report.consistency else "not applicable: no order",
    )
    _line(
        "first-slot share",
        share(report.first_slot) if report.first_slot else "not applicable: no order, or all ties",
    )
    for policy, number in report.policies.items() if report.consistency else ():
        _line(f"won by the better ({policy})", share(number))
    _line("preference per sd of length", share(report.verbosity_slope))
    if report.failures:
        _line("without a verdict", _counts(report.failures))
    for canary in report.canaries:
        mark = "ok  " if canary.ok else "FAIL"
        typer.echo(f"  {mark} canary {canary.name:<10} {share(canary.win_rate)}; {canary.threshold}")
    for line in report.kinship:
        typer.echo(f"  self-preference: {one_line(line)}")
    typer.echo(one_line(report.sentence))
    typer.echo("")


def _run(report: Any) -> None:
    for screen in report.screens:
        _screen(screen)
    for one in report.verdicts:
        typer.echo(
            f"{one_line(one.judge)}: {one_line(one.candidate)} against {one_line(one.baseline)} ({one.suite})"
        )
        if not one.n_both:
            _line("position", "not applicable: each prompt was judged in one order, or without order")
        else:
            _line("position consistency", share(one.consistency))
            _line("first-slot share", share(one.first_slot))
        for policy, number in one.policies.items():
            _line(f"win rate ({policy})", share(number))
        _line("preference per sd of length", share(one.verbosity_slope))
    typer.echo(one_line(report.sentence))


def _screen(screen: Any) -> None:
    typer.echo(
        f"{one_line(screen.system)} {one_line(screen.suite)}: {screen.n} outputs, {screen.n_empty} empty"
    )
    _line(
        "distinct outputs", f"{screen.n_distinct}; the most frequent is {100 * screen.constant_share:.1f} %"
    )
    _line("judge-directed text", _counts(screen.injections))
    _line(
        "equal to the reference",
        f"{screen.n_identical} of {screen.n_compared}; prefix shared by {screen.n_prefix}",
    )
    for flag in screen.flags:
        typer.echo(f"  FLAG {one_line(flag)}")


def _table(table: Mapping[str, Mapping[str, int]], rows: str, columns: str) -> None:
    names = list(table)
    typer.echo(f"  {rows + ' / ' + columns:<42}" + "".join(f"{name:>12}" for name in names))
    for name, counts in table.items():
        typer.echo(f"  {name:<42}" + "".join(f"{counts[other]:>12}" for other in names))


def show_calibration(report: Any) -> None:
    """Print the calibration of a judge on one comparison."""
    who = f"{one_line(report.candidate)} against {one_line(report.baseline)} ({one_line(report.suite)})"
    typer.echo(f"{one_line(report.judge)}, {who}: {report.n_labels} labels, {report.n_both} with a verdict")
    _table(report.table, "judge", "human")
    for name in ("agreement", "kappa", "sensitivity", "specificity", "observed", "corrected"):
        label = {"observed": "wins by the judge", "corrected": "wins, corrected for its errors"}.get(
            name, name
        )
        _line(label, share(getattr(report, name)))
    if report.human_alpha is not None:
        _line(f"alpha of {report.n_raters} human raters", share(report.human_alpha))


def show_bridge(report: Any) -> None:
    """Print the bridge from judge a to judge b."""
    a, b = one_line(report.judge_a), one_line(report.judge_b)
    typer.echo(
        f"{a} ({report.identity_a[:12]}) and {b} ({report.identity_b[:12]}) on {report.n_sample} pairs"
    )
    _table(report.table, a, b)
    for name in ("agreement", "kappa"):
        _line(name, share(getattr(report, name)))
    _line(f"rate by {a}", share(report.rate_a))
    _line(f"rate by {b}", share(report.rate_b))
    _line("shift, points", share(report.shift))
    if report.failures:
        _line("without a verdict", _counts(report.failures))
