"""Check an experiment's judges without loading models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aligner_bench.core.spec import Location
from aligner_bench.judges.base import JudgeSpec


def judge_faults(
    judges: Mapping[str, JudgeSpec], written_as: Mapping[str, Location]
) -> Iterator[tuple[Location, str]]:
    """Return (location, problem) of each judge that could not be made.

    ``judges`` have their paths resolved relative to the experiment file; ``written_as`` gives the location
    of each in that file.
    """
    for name, spec in judges.items():
        fault = spec.fault(name, judges)
        if fault is not None:
            yield (*written_as[name], fault.field), fault.problem
