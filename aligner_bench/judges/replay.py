"""The ``replay`` judge: recorded verdicts of a run or of AlpacaEval's annotations.

A recorded verdict applies to a pair with the same prompt and the same two texts only; any other pair is
``missing``. A recording is not the judge that it repeats: it has an identity of its own, which contains the
recorded judge's, and its name in an experiment begins with ``recorded``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import Field

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.hashing import digest
from aligner_bench.core.types import Pair, Services, Verdict
from aligner_bench.inspectors.base import PACKAGED, packaged_pairs
from aligner_bench.judges.base import Fault, Judge, JudgeContext, JudgeSpec
from aligner_bench.store.alpaca_files import read_results
from aligner_bench.store.alpaca_verdicts import verdict_of
from aligner_bench.store.folder import RunFolder
from aligner_bench.store.tables import Row, group, storable

KIND = "recorded"
_FIELDS = ("order", "status", "preference", "detail")
_MISSING = "no recorded verdict on this prompt and these two answers"


class _Place(NamedTuple):
    """The key of a verdict; ``prompt`` is an id or a text."""

    prompt: str
    candidate: str
    baseline: str


@dataclass(frozen=True, slots=True)
class Recording:
    """One judge's recorded verdicts, and the known facts about the judge."""

    judge: str
    kind: str
    identity: str
    description: str
    needs_audit: bool
    verdicts: Mapping[_Place, Sequence[Row]]
    audit_pairs: int
    sha256: str


class ReplayJudge:
    """Returns recorded verdicts, without calls or cost."""

    needs_references = False

    def __init__(self, spec: ReplayJudgeSpec) -> None:
        self._spec = spec

    @cached_property
    def recording(self) -> Recording:
        """The recording, read at first use. Raises UsageError for a file without one."""
        return read_recording(self._spec.path, self._spec.judge)

    @property
    def description(self) -> str:
        """The recorded judge's name and description."""
        return f"recorded verdicts of {self.recording.judge} ({self.recording.description})"

    @property
    def audit_pairs(self) -> int:
        """Number of known pairs that the recorded judge was audited on."""
        return self.recording.audit_pairs

    @property
    def needs_audit(self) -> bool:
        """Whether the recorded judge needed an audit."""
        return self.recording.needs_audit

    def identity(self, services: Services) -> dict[str, Any]:
        """Return the recorded judge's identity and the recording's content hash.

        Its kind is never the recorded judge's.
        """
        recording = self.recording
        return {
            "kind": KIND,
            "version": 1,
            "judge": recording.judge,
            "judge_kind": recording.kind,
            "judge_identity": recording.identity,
            "sha256": recording.sha256,
        }

    def compare(self, pairs: Sequence[Pair], services: Services) -> list[list[Verdict]]:
        """Return the recorded verdicts, or one with status missing."""
        return [self._verdicts(pair) for pair in pairs]

    def _verdicts(self, pair: Pair) -> list[Verdict]:
        rows = self._rows(pair)
        return [_verdict(row) for row in rows] or [Verdict("none", "missing", None, _MISSING)]

    def _rows(self, pair: Pair) -> Sequence[Row]:
        texts = storable(pair.candidate), storable(pair.baseline)
        held = self.recording.verdicts
        by_id = held.get(_Place(pair.prompt_id, *texts))
        return by_id or held.get(_Place(storable(pair.prompt), *texts), ())


def _verdict(row: Row) -> Verdict:
    return Verdict(row["order"], row["status"], row["preference"], row["detail"])


def read_recording(path: Path, judge: str | None) -> Recording:
    """Return one judge's verdicts from a run folder, its verdicts.parquet, or annotations.json.

    Raises UsageError for a path without verdicts, and where the judge is unknown or ambiguous.
    """
    if path.suffix == ".json":
        return _from_annotations(path, judge)
    folder = path.parent if path.name == "verdicts.parquet" else path
    if not (folder / "manifest.json").is_file():
        raise UsageError(f"{path}: expected a run folder, its verdicts.parquet, or an annotations.json")
    return _from_run(folder, judge)


def _chosen(path: Path, judge: str | None, names: Sequence[str]) -> str:
    if judge is None and len(names) == 1:
        return names[0]
    if judge is None:
        raise UsageError(
            f"{path}: holds verdicts of {', '.join(names) or 'no judge'}; choose one with judge:"
        )
    if judge not in names:
        raise UsageError(f"{path}: holds no verdicts of judge {judge!r}; {nearest(judge, names)}")
    return judge


def _from_run(folder: Path, judge: str | None) -> Recording:
    run = RunFolder(folder)
    judges = {row["judge"]: row for row in run.rows("judges")}
    name = _chosen(folder, judge, list(judges))
    rows = [row for row in run.rows("verdicts") if row["judge"] == name]
    audits = [row for row in run.rows("audits") if row["judge"] == name]
    verdicts = dict(_by_texts(run, rows)) | dict(_audited(audits))
    about = judges[name]
    return Recording(
        name,
        about["kind"],
        about["identity"],
        about["description"],
        about["needs_audit"],
        verdicts,
        len({row["pair_id"] for row in audits}),
        digest(
            [[row.get(f) for f in ("suite", "prompt_id", "pair_id", *_FIELDS)] for row in [*rows, *audits]]
        ),
    )


def _by_texts(run: RunFolder, rows: Sequence[Row]) -> Iterator[tuple[_Place, Sequence[Row]]]:
    """Yield the verdicts by prompt id and by prompt text; pairs without an answer are left out."""
    texts = {(r["suite"], r["system"], r["prompt_id"]): r["text"] for r in run.rows("responses")}
    prompts = {(r["suite"], r["prompt_id"]): r["prompt"] for r in run.rows("prompts")}
    for key, found in group(rows, "suite", "prompt_id", "candidate", "baseline").items():
        suite, prompt_id, candidate, baseline = key
        pair = texts.get((suite, candidate, prompt_id)), texts.get((suite, baseline, prompt_id))
        if pair[0] is None or pair[1] is None or all(row["status"] == "missing" for row in found):
            continue
        yield _Place(prompts[suite, prompt_id], pair[0], pair[1]), found
        yield _Place(prompt_id, pair[0], pair[1]), found


def _audited(audits: Sequence[Row]) -> Iterator[tuple[_Place, Sequence[Row]]]:
    """Yield verdicts on packaged pairs with a known winner, whose texts are not in the run."""
    known = {pair.pair_id: pair for criterion in PACKAGED for pair in packaged_pairs(criterion, "held_out")}
    for (pair_id,), found in group(audits, "pair_id").items():
        if pair_id in known:
            yield _Place(pair_id, known[pair_id].better, known[pair_id].worse), found


def _from_annotations(path: Path, judge: str | None) -> Recording:
    """Return AlpacaEval's annotations; the order is known only where the judge's raw reply shows it."""
    [file] = read_results([path])
    if not file.annotations:
        raise UsageError(f"{path}: holds outputs, not annotations")
    name = _chosen(path, judge, list(dict.fromkeys(annotation.judge for annotation in file.annotations)))
    verdicts: dict[_Place, Sequence[Row]] = {}
    for one in file.annotations:
        if one.judge == name:
            place = _Place(*map(storable, (one.instruction, one.candidate_text, one.baseline_text)))
            verdicts.setdefault(place, [verdict_of(one)])
    content = [[*place, *(rows[0][field] for field in _FIELDS)] for place, rows in verdicts.items()]
    identity = digest({"kind": "imported", "from": "alpaca-eval", "annotator": name})
    return Recording(
        name,
        "imported",
        identity,
        f"AlpacaEval annotator {name}, one order each",
        True,
        verdicts,
        0,
        digest(content),
    )


class ReplayJudgeSpec(JudgeSpec):
    """Repeat recorded verdicts. Its name must begin with ``recorded``."""

    no_pick: ClassVar[str] = "it has verdicts on recorded answers only"

    path: Path = Field(description="a run folder, its verdicts.parquet, or AlpacaEval's annotations.json")
    judge: str | None = Field(None, description="the recorded judge, where there are several")

    def make(self, context: JudgeContext) -> Judge:
        """Return the judge; its recording is read at first use."""
        return ReplayJudge(self)

    def anchored(self, anchor: Callable[[Path], Path]) -> Self:
        """Return the spec with its path resolved by ``anchor``, relative to the experiment file."""
        return self.model_copy(update={"path": anchor(self.path)})

    def fault(self, name: str, judges: Mapping[str, JudgeSpec]) -> Fault | None:
        """Return the problem of a name that is the recorded judge's, or of a missing recording."""
        if not name.startswith(KIND):
            why = "recorded verdicts do not print under a judge's own name"
            return Fault("kind", f"{why}; call it {KIND}-{name}")
        if not self.path.exists():
            return Fault("path", f"{self.path}: no such file or folder; expected a run, or annotations.json")
        return None
