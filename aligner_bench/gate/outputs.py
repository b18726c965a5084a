"""Render the gate's report: text, JSON, JUnit XML, Markdown, GitHub annotations."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from xml.etree import ElementTree

from aligner_bench.core.textsafe import one_line
from aligner_bench.gate.checks import Check
from aligner_bench.gate.decide import GateReport
from aligner_bench.gate.messages import change, subject

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️"}
_WORST_FIRST = ("fail", "inconclusive", "pass")


def as_text(report: GateReport) -> str:
    """Render one line per check, worst first, then what is left out, and the outcome."""
    lines = [check.sentence for check in _sorted(report.checks)]
    lines += [f"not gated: {line}" for line in report.left_out]
    lines += [f"note: {line}" for line in report.notes]
    return "\n".join(one_line(line) for line in [*lines, f"gate: {_outcome(report)}"])


def as_json(report: GateReport) -> str:
    """Render the report in the shape of ``GateReport``."""
    return report.model_dump_json(indent=1)


def _sorted(checks: Sequence[Check]) -> list[Check]:
    return sorted(checks, key=lambda check: (check.advisory, _WORST_FIRST.index(check.outcome)))


def _outcome(report: GateReport) -> str:
    counts = {o: sum(check.outcome == o for check in report.checks) for o in ("pass", "fail", "inconclusive")}
    return f"{report.outcome.upper()} ({', '.join(f'{n} {name}' for name, n in counts.items())})"


def as_junit(report: GateReport) -> str:
    """Render JUnit XML: one case per check. A fail is a failure, an inconclusive check an error.

    Advisory checks that did not pass are skipped cases.
    """
    suites = ElementTree.Element("testsuites", name="aligner-bench gate")
    names = dict.fromkeys(check.suite for check in report.checks)
    for name in names:
        _junit_suite(suites, name, [check for check in report.checks if check.suite == name], report)
    ElementTree.indent(suites, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, "unicode") + "\n"


def _junit_suite(parent: ElementTree.Element, name: str, checks: Sequence[Check], report: GateReport) -> None:
    kinds = [_junit_kind(check) for check in checks]
    counts = {
        tag: str(kinds.count(kind))
        for tag, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    }
    attributes = {"name": _xml(name), "tests": str(len(checks)), **counts, "time": "0"}
    suite = ElementTree.SubElement(parent, "testsuite", attributes)
    for check, kind in zip(checks, kinds, strict=True):
        case = ElementTree.SubElement(
            suite, "testcase", classname=_xml(f"{report.run}.{name}"), name=_xml(subject(check)), time="0"
        )
        if kind in ("failure", "error"):
            fault = ElementTree.SubElement(case, kind, message=_xml(check.sentence), type=check.outcome)
            fault.text = _xml(check.sentence)
        elif kind == "skipped":
            ElementTree.SubElement(case, kind, message=_xml(check.sentence))
        out = ElementTree.SubElement(case, "system-out")
        out.text = _xml(check.sentence)


def _junit_kind(check: Check) -> str:
    if check.outcome == "pass":
        return ""
    return "skipped" if check.advisory else "failure" if check.outcome == "fail" else "error"


def _xml(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold, not even escaped."""
    return _NOT_XML.sub("\ufffd", text)


def as_markdown(report: GateReport) -> str:
    """Render a job summary: the outcome, a table worst first, and the prompts that would decide."""
    lines = [
        f"## {_SIGNS[report.outcome]} aligner-bench gate: {_md(report.run)} against {_md(report.baseline)}",
        "",
        f"**{_outcome(report)}**",
        "",
        "| | what | change | margin | prompts that would decide |",
        "| --- | --- | --- | ---: | ---: |",
    ]
    for check in _sorted(report.checks):
        more = f"{check.n_to_decide:,}" if check.n_to_decide is not None else ""
        name = check.outcome + (" (advisory)" if check.advisory else "")
        what = f"{_SIGNS[check.outcome]} {name} | {_md(subject(check))} | {_md(change(check))}"
        lines.append(f"| {what} | {100 * check.margin:g} | {more} |")
    lines += ["", *(f"- not gated: {_md(line)}" for line in report.left_out)]
    lines += [f"- {_md(line)}" for line in report.notes]
    lines += ["", "Gains are above 0 and losses below 0 for every metric; the bounds are one-sided 95 %."]
    return "\n".join(lines) + "\n"


def _md(text: str) -> str:
    plain = one_line(text).replace("\\", "\\\\")
    for mark in "|`*[]<>":
        plain = plain.replace(mark, f"\\{mark}")
    return plain


def as_annotations(report: GateReport) -> list[str]:
    """Render GitHub workflow commands: an error per failure, a warning per inconclusive or advisory check."""
    lines = []
    for check in _sorted(report.checks):
        if check.outcome != "pass":
            level = "error" if check.outcome == "fail" and not check.advisory else "warning"
            title = _property(f"aligner-bench gate: {check.metric} of {check.system} on {check.suite}")
            lines.append(f"::{level} title={title}::{_data(check.sentence)}")
    return lines


def _data(text: str) -> str:
    return one_line(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


FORMATS: dict[str, Callable[[GateReport], str]] = {"text": as_text, "json": as_json}
