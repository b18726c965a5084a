"""Summarise inspector scores before and after each corrector."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from aligner_bench.results.measures import traces as m
from aligner_bench.results.number import Number, Origin, Published
from aligner_bench.store.tables import Tables, group


class ScoreState(Published):
    """The distribution of one inspector's scores at one moment of the correction."""

    origin: ClassVar = Origin("responses")
    suite: str
    system: str
    inspector: str
    state: Literal["start", "after_first", "end"]
    mean: Annotated[Number, m.SCORE_MEAN]
    quantiles: Annotated[list[float], m.SCORE_QUANTILES]
    histogram: Annotated[list[int], m.SCORE_HISTOGRAM]


def score_rows(tables: Tables) -> list[ScoreState]:
    """Compute score distributions of systems whose traces hold scores at the start: squads."""
    states = []
    for (suite, system), rows in group(tables["responses"], "suite", "system").items():
        traces = [json.loads(row["trace"]) for row in rows]
        traces = [trace for trace in traces if trace and trace[0]["action"] == "start" and trace[0]["scores"]]
        for inspector in sorted(traces[0][0]["scores"]) if traces else ():
            for state, at in (("start", _start), ("after_first", _after_first), ("end", _end)):
                # A step that failed, or that other correctors made, has no such score.
                steps = [at(trace)["scores"] for trace in traces]
                values = [scores[inspector] for scores in steps if inspector in scores]
                if values:
                    states.append(_state(suite, system, inspector, state, values))
    return states


def _start(trace: list[Any]) -> Any:
    return trace[0]


def _end(trace: list[Any]) -> Any:
    return trace[-1]


def _after_first(trace: list[Any]) -> Any:
    return next((step for step in trace if step["action"] in ("correct", "pick")), trace[0])


def _state(suite: str, system: str, inspector: str, state: Any, values: Sequence[float]) -> ScoreState:
    return ScoreState(
        suite=suite,
        system=system,
        inspector=inspector,
        state=state,
        mean=m.SCORE_MEAN.number(values),
        quantiles=m.SCORE_QUANTILES(values),
        histogram=m.SCORE_HISTOGRAM(values),
    )
