"""Check that every name used in an experiment file is defined in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from aligner_bench.core.errors import nearest
from aligner_bench.core.spec import Location, Use
from aligner_bench.core.yamlfile import YamlDocument
from aligner_bench.experiment.file import ExperimentFile
from aligner_bench.papers.spec import cells


def check_names(file: ExperimentFile, document: YamlDocument) -> None:
    """Raise UsageError with a line per undefined name: file, line, field, nearest name."""
    faults = list(_faults(file))
    if faults:
        raise document.error(faults)
    if file.paper is not None:
        pairs = [(c.candidate, baseline) for c in file.comparisons for baseline in c.baselines]
        cells(file.paper, pairs, suite_labels(file))


def suite_labels(file: ExperimentFile) -> list[str]:
    """Return the suites' names as tables show them."""
    return [use.label for use in file.suites]


def _faults(file: ExperimentFile) -> Iterator[tuple[Location, str]]:
    defined = _defined(file)
    for use in (*file.uses(), *_in_keys(file)):
        names = defined[use.what]
        if use.at[:2] == ("stand_ins", "judges") and use.what == "judge":
            names = {*names, *file.stand_ins.judges}
        if use.name not in names:
            yield use.at, f"unknown {use.what} {use.name!r}; {nearest(use.name, names)}"
    for name in file.raters:
        if name in file.judges:
            yield ("raters", name), "a judge has this name; a rater needs one of its own"
    for name, system in file.systems.items():
        if system.draws_samples and file.decoding.temperature == 0 and _is_live(file, system.upstream):
            why = f"{system.kind} needs decoding.temperature above 0; greedy samples are all the same"
            yield ("systems", name), why


def _is_live(file: ExperimentFile, model: str) -> bool:
    return model in file.models and file.models[model].live


def _defined(file: ExperimentFile) -> Mapping[str, Collection[str]]:
    return {
        "model": file.models,
        "inspector": file.inspectors,
        "judge": file.judges,
        "system": file.systems,
        "suite": suite_labels(file),
    }


def _in_keys(file: ExperimentFile) -> Iterator[Use]:
    """Yield names that are keys of mappings, where a field marked with ``Refers`` cannot be."""
    for name in file.prices:
        yield Use(("prices", name), "model", name)
    for trend, sizes in file.trends.items():
        for name in sizes:
            yield Use(("trends", trend, name), "system", name)
    for name in file.paper.labels if file.paper is not None else ():
        yield Use(("paper", "labels", name), "system", name)
