"""Own the list of published numbers: one ``Measure`` for each, by subject.

``MEASURES`` is every measure by name; ``METRICS`` those that can be paired prompt by prompt between runs.
Fields of the row models are annotated with their measure; ``results.places`` finds where each is published.
"""

from __future__ import annotations

from collections.abc import Mapping

from aligner_bench.results.measure import Measure
from aligner_bench.results.measures import comparisons, judges, systems, traces

SUBJECTS: Mapping[str, tuple[Measure, ...]] = {
    module.__name__.rpartition(".")[2]: tuple(
        value for value in vars(module).values() if isinstance(value, Measure)
    )
    for module in (comparisons, systems, traces, judges)
}
MEASURES: Mapping[str, Measure] = {
    measure.name: measure for measures in SUBJECTS.values() for measure in measures
}
METRICS: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        comparisons.WIN_RATE,
        comparisons.DISCRETE,
        comparisons.CONSISTENCY,
        comparisons.VERDICT_FAILURES,
        systems.ACCURACY,
        systems.REPAIR,
        systems.DAMAGE,
        systems.ANSWER_FAILURES,
        systems.HARM_RATE,
        systems.REFUSALS,
    )
}
