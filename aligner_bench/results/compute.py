"""Compute every published number of a run from its tables and facts."""

from __future__ import annotations

from aligner_bench.results import harm, sentences
from aligner_bench.results.agreement import panel
from aligner_bench.results.anatomy import anatomy_tables
from aligner_bench.results.canaries import canary_results, canary_warnings
from aligner_bench.results.comparisons import comparison_rows
from aligner_bench.results.copies import copy_rows, copy_warnings
from aligner_bench.results.costs import cost_rows
from aligner_bench.results.facts import Facts
from aligner_bench.results.inspectors import inspector_rows
from aligner_bench.results.judges import judge_power
from aligner_bench.results.measures.comparisons import RATES
from aligner_bench.results.papers import paper_rows
from aligner_bench.results.refusals import refusal_rows
from aligner_bench.results.schema import Results, SuiteInfo
from aligner_bench.results.scores import score_rows
from aligner_bench.results.steps import step_tables
from aligner_bench.results.systems import system_rows
from aligner_bench.results.trends import trend_rows
from aligner_bench.store.tables import Tables


def compute(tables: Tables, facts: Facts) -> Results:
    """Compute every published number of a run."""
    judges = [
        judge_power(row, tables, panel(facts.ensembles.get(row["judge"], ()), tables))
        for row in tables["judges"]
    ]
    rows = comparison_rows(tables, facts, {judge.judge: judge for judge in judges})
    systems = system_rows(tables)
    copies = copy_rows(tables, facts)
    canaries = canary_results(tables)
    raters = harm.rater_powers(tables)
    harmful = harm.harm_rows(tables, facts.suites, raters)
    return Results(
        experiment=facts.experiment,
        experiment_hash=facts.experiment_hash,
        scale=facts.scale,
        level=facts.level,
        suites=[SuiteInfo(**suite) for suite in facts.suites],
        judges=judges,
        inspectors=inspector_rows(tables),
        systems=systems,
        rows=rows,
        trajectories=score_rows(tables),
        **step_tables(tables),
        **anatomy_tables(tables),
        refusals=refusal_rows(tables),
        copies=copies,
        costs=cost_rows(tables),
        raters=raters,
        harm=harmful,
        canaries=canaries,
        papers=paper_rows(tables, rows, facts.paper, facts.scale),
        trends=trend_rows(tables, facts.trends, {judge.judge: judge.has_power for judge in judges}),
        headline=[
            *sentences.headline(rows, systems, judges, facts.headline),
            *harm.headlines(harmful),
        ],
        warnings=[
            *sentences.warnings(rows, systems, judges, facts.scale),
            *copy_warnings(copies),
            *harm.warnings(harmful, raters),
            *canary_warnings(canaries),
            *facts.notes,
        ],
        definitions={name: measure.definition for name, measure in RATES.items()},
    )
