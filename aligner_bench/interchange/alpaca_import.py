"""``import alpaca-eval``: convert AlpacaEval 2 results to a run folder.

The judge is the annotator, of kind ``imported``: it cannot be called here, so its power is unknown. Prompt
ids are hashes of the prompt texts; prompts of the AlpacaEval set that a file lacks, and the answers and
verdicts on them, are rows with status ``missing``.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from aligner_bench.core.errors import UsageError
from aligner_bench.core.files import file_digest
from aligner_bench.core.hashing import digest
from aligner_bench.interchange.length_data import read_gamed
from aligner_bench.results.facts import Facts
from aligner_bench.results.length import LengthData
from aligner_bench.runs import Run, check_target, save
from aligner_bench.store.alpaca_files import Annotation, Output, ResultFile, read_results
from aligner_bench.store.alpaca_verdicts import verdict_of
from aligner_bench.store.seal import suite_hashes
from aligner_bench.store.tables import Row
from aligner_bench.suites.mapping import text_hash

SUITE, OTHER_PROMPTS = "alpaca-eval", "imported"
REFERENCE = "gpt4_1106_preview"  # the baseline of AlpacaEval 2
_ABSENT = "(this instruction is not in the imported files)"
_LICENCE = "CC-BY-NC-4.0"
_ORIGINAL = "original_output"  # AlpacaEval's field for the answer before correction
_ORDERS = "one order each; the order is known only where the judge's raw reply tells it"
RecordT = TypeVar("RecordT", Output, Annotation)


@dataclass(slots=True)
class _Answer:
    text: str
    before: str | None = None


@dataclass(slots=True)
class _Gathered:
    """All records by prompt id: texts and categories, answers by system, annotations by comparison."""

    texts: dict[str, str] = field(default_factory=dict)
    categories: dict[str, str] = field(default_factory=dict)
    generators: dict[str, str] = field(default_factory=dict)
    answers: dict[str, dict[str, _Answer]] = field(default_factory=dict)
    judged: dict[tuple[str, str, str], dict[str, Annotation]] = field(default_factory=dict)
    sources: dict[tuple[str, str, str], Path] = field(default_factory=dict)
    differing: Counter[str] = field(default_factory=Counter)
    aligners: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def import_alpaca_eval(
    paths: Sequence[Path],
    out: Path,
    *,
    suite: str | None = None,
    overwrite: bool = False,
    gamed: Path | None = None,
) -> Run:
    """Read result folders or files and write a run folder.

    ``suite`` is the name of the suite; default: ``alpaca-eval`` if all instructions belong to the 805 of
    AlpacaEval, else ``imported``. ``gamed`` is AlpacaEval's df_gamed.csv, required for AlpacaEval's
    length-controlled rate instead of LC (minimal). UsageError names file and record of an error; then nothing
    is written.
    """
    files = read_results(paths)
    gathered = _gather(files)
    digests = [file_digest(file.path) for file in files]
    fingerprint = digest([*digests, file_digest(gamed)] if gamed and gamed.is_file() else digests)
    check_target(out, fingerprint, overwrite)
    facts, tables = _tables(gathered, suite, fingerprint)
    if gamed is not None:
        facts = replace(facts, length_data=_length_data(gamed, facts, tables["prompts"]))
    out.mkdir(parents=True, exist_ok=True)
    save(out, tables, _manifest(files, digests, facts))
    return Run(out)


def _length_data(gamed: Path, facts: Facts, prompts: Sequence[Row]) -> LengthData:
    if facts.suites[0]["name"] != SUITE:
        raise UsageError(f"{gamed}: belongs to the 805 prompts of AlpacaEval; these results have others")
    return read_gamed(gamed, [row["prompt_id"] for row in prompts])


def _gather(files: Sequence[ResultFile]) -> _Gathered:
    gathered = _Gathered()
    # Outputs first: they hold all answers of a system, annotations repeat some of them.
    for file in sorted(files, key=lambda file: not file.outputs):
        _add_outputs(gathered, file)
        _add_annotations(gathered, file)
    for system, count in gathered.differing.items():
        gathered.notes.append(
            f"{system}: {count} answers differ between the imported files; the first ones are shown."
        )
    return gathered


def _add_outputs(gathered: _Gathered, file: ResultFile) -> None:
    generators = list(dict.fromkeys(output.generator for output in file.outputs))
    model = file.model if len(generators) == 1 else None
    for generator in generators:
        part = [output for output in file.outputs if output.generator == generator]
        system = model or generator or file.path.resolve().parent.name
        _register(gathered, system, generator)
        for prompt_id, output in _keyed(part):
            _add_prompt(gathered, prompt_id, output)
            _add_answer(gathered, system, prompt_id, _Answer(output.text, output.before))


def _add_annotations(gathered: _Gathered, file: ResultFile) -> None:
    groups: dict[tuple[str, str, str], list[Annotation]] = {}
    for annotation in file.annotations:
        candidate = file.model or annotation.candidate
        _register(gathered, candidate, annotation.candidate)
        groups.setdefault((annotation.judge, candidate, annotation.baseline), []).append(annotation)
    for key, group in groups.items():
        if key in gathered.sources:
            raise UsageError(
                f"{file.path}: {key[0]} on {key[1]} against {key[2]} was read before, "
                f"from {gathered.sources[key]}"
            )
        gathered.sources[key] = file.path
        _register(gathered, key[2], key[2])
        gathered.judged[key] = dict(_keyed(group))
        for prompt_id, annotation in gathered.judged[key].items():
            _add_prompt(gathered, prompt_id, annotation)
            _add_answer(gathered, key[1], prompt_id, _Answer(annotation.candidate_text))
            _add_answer(gathered, key[2], prompt_id, _Answer(annotation.baseline_text))


def _keyed(records: Iterable[RecordT]) -> Iterator[tuple[str, RecordT]]:
    """Yield prompt id and record; a repeated instruction gets a separate id, since AlpacaEval counts it
    again.
    """
    seen: Counter[str] = Counter()
    for record in records:
        key = f"ae-{text_hash(record.instruction)}"
        seen[key] += 1
        yield (key if seen[key] == 1 else f"{key}-{seen[key]}"), record


def _register(gathered: _Gathered, system: str, generator: str) -> None:
    """Register a system; add a note if its folder and its files have different names."""
    if system not in gathered.generators:
        gathered.generators[system] = generator
        gathered.answers[system] = {}
        if generator and generator != system:
            gathered.notes.append(
                f"{system} is called {generator!r} in its files; here it has its folder's name."
            )


def _add_prompt(gathered: _Gathered, prompt_id: str, record: Output | Annotation) -> None:
    gathered.texts.setdefault(prompt_id, record.instruction)
    if record.category:
        gathered.categories.setdefault(prompt_id, record.category)


def _add_answer(gathered: _Gathered, system: str, prompt_id: str, answer: _Answer) -> None:
    held = gathered.answers[system].setdefault(prompt_id, answer)
    if answer.before is not None:
        gathered.aligners.add(system)
    if held.text != answer.text:
        gathered.differing[system] += 1


def _tables(
    gathered: _Gathered, suite: str | None, fingerprint: str
) -> tuple[Facts, dict[str, Sequence[Row]]]:
    known = _known_prompts()
    complete = set(gathered.texts) <= set(known)
    name = suite or (SUITE if complete else OTHER_PROMPTS)
    categories = {**(known if complete else {}), **gathered.categories}
    ids = list(known) if complete else list(gathered.texts)
    prompts = [_prompt_row(name, key, gathered.texts.get(key), categories.get(key, "all")) for key in ids]
    comparisons = list(dict.fromkeys((candidate, baseline) for _, candidate, baseline in gathered.judged))
    facts = Facts(
        experiment="imported-alpaca-eval",
        experiment_hash=fingerprint,
        scale="full",
        suites=[_suite_info(name, prompts, complete)],
        comparisons=_screened(comparisons, list(gathered.answers)),
        notes=gathered.notes,
    )
    return facts, {
        "prompts": prompts,
        "responses": [
            _response_row(name, key, system, gathered) for system in gathered.answers for key in ids
        ],
        "verdicts": [
            _verdict_row(name, key, comparison, annotations.get(key))
            for comparison, annotations in gathered.judged.items()
            for key in ids
        ],
        "audits": [],
        "inspectors": [],
        "judges": [_judge_row(judge) for judge in dict.fromkeys(judge for judge, _, _ in gathered.judged)],
    }


def _known_prompts() -> dict[str, str]:
    """Return ids and categories of the 805 prompts of AlpacaEval; ids are hashes, texts are not packaged."""
    with (Path(__file__).parent / "alpaca_eval_ids.csv").open(encoding="utf-8", newline="") as stream:
        return {row["prompt_id"]: row["category"] for row in csv.DictReader(stream)}


def _screened(comparisons: Sequence[tuple[str, str]], systems: Sequence[str]) -> list[tuple[str, str]]:
    """Return the judged pairs, and each system against AlpacaEval's reference, for the copy screen."""
    against = [(system, REFERENCE) for system in systems if REFERENCE in systems and system != REFERENCE]
    return list(dict.fromkeys([*comparisons, *against]))


def _suite_info(name: str, prompts: Sequence[Row], complete: bool) -> dict[str, Any]:
    return {
        "name": name,
        "version": "1",
        "licence": _LICENCE if complete else "unknown",
        "source": "imported from AlpacaEval result files",
        "content_hash": suite_hashes(prompts)[name],
        "n": len(prompts),
        "categories": sorted({row["category"] for row in prompts}),
        "relevant": [],
    }


def _prompt_row(suite: str, prompt_id: str, text: str | None, category: str) -> Row:
    first = "-".join(prompt_id.split("-")[:2])
    return {
        "suite": suite,
        "prompt_id": prompt_id,
        "prompt": _ABSENT if text is None else text,
        "category": category,
        "criterion": "helpful",
        "family": None if first == prompt_id else first,
        "references": [],
        "history": "[]",
    }


def _response_row(suite: str, prompt_id: str, system: str, gathered: _Gathered) -> Row:
    answer = gathered.answers[system].get(prompt_id)
    text = answer.text if answer else ""
    return {
        "suite": suite,
        "prompt_id": prompt_id,
        "system": system,
        "kind": "imported",
        "upstream_model": _ORIGINAL if system in gathered.aligners else gathered.generators[system] or system,
        "upstream": answer.before if answer else None,
        "text": text,
        "status": "missing" if answer is None else "ok" if text.strip() else "empty",
        "finish_reason": "replay",
        **dict.fromkeys(("correct", "upstream_correct")),
        **dict.fromkeys(("calls", "prompt_tokens", "completion_tokens", "cut_tokens"), 0),
        "seconds": 0.0,
        "error": None if answer else "not in the imported files",
        "trace": "[]",
    }


def _verdict_row(
    suite: str, prompt_id: str, comparison: tuple[str, str, str], annotation: Annotation | None
) -> Row:
    judge, candidate, baseline = comparison
    verdict = {"order": "unknown", "status": "missing", "preference": None, "detail": "no annotation"}
    if annotation is not None:
        verdict = verdict_of(annotation)
    return {
        "suite": suite,
        "prompt_id": prompt_id,
        "judge": judge,
        "candidate": candidate,
        "baseline": baseline,
        **verdict,
    }


def _judge_row(name: str) -> Row:
    return {
        "judge": name,
        "kind": "imported",
        "identity": digest({"kind": "imported", "from": "alpaca-eval", "annotator": name}),
        "description": f"AlpacaEval annotator {name}, imported; {_ORDERS}",
        "needs_audit": True,
    }


def _manifest(files: Sequence[ResultFile], digests: Sequence[str], facts: Facts) -> dict[str, Any]:
    return {
        "facts": {name: getattr(facts, name) for name in Facts.__slots__},
        "imported": [
            {
                # The last folders identify the result; the rest is machine-specific.
                "file": "/".join(file.path.parts[-3:]),
                "sha256": sha256,
                "records": len(file.outputs) + len(file.annotations),
            }
            for file, sha256 in zip(files, digests, strict=True)
        ],
    }
