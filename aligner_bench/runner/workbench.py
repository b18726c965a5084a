"""The services of correctors and judges: models and inspectors by name, behind the ledger."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, cast

from aligner_bench.core.errors import UsageError, nearest
from aligner_bench.core.hashing import digest
from aligner_bench.core.registry import from_plugin
from aligner_bench.core.types import (
    Chosen,
    Completion,
    PairEngine,
    PairLogit,
    PairText,
    Ranker,
    Request,
    Score,
)
from aligner_bench.engines.base import (
    DEFAULT_BATCH,
    CuttingEngine,
    Engine,
    Hooks,
    ModelSpec,
    StreamingEngine,
    make_engine,
)
from aligner_bench.engines.costs import Spending, price_of
from aligner_bench.inspectors.backbone import families
from aligner_bench.inspectors.base import InspectorSpec, inspector_identity
from aligner_bench.inspectors.classifier import Classifier, classifier_bytes
from aligner_bench.runner.progress import Progress, Silent
from aligner_bench.runner.residency import Residency, weights_key
from aligner_bench.runner.stages import ItemT, ResultT, Stage, StageRunner
from aligner_bench.store.ledger import Ledger

_RANKER_BUNDLE = 4  # batches that a pair ranker gets at once; a kill loses at most these


def _plain(completion: Completion) -> dict[str, Any]:
    """Return the ledger's form of a completion, without its cost: prices change, answers do not."""
    return {name: value for name, value in asdict(completion).items() if name not in ("cost", "logprobs")} | (
        {"logprobs": [dict(top) for top in completion.logprobs]} if completion.logprobs else {}
    )


class Workbench:
    """Models and inspectors by name, each loaded at most once, behind the ledger."""

    def __init__(
        self,
        models: Mapping[str, ModelSpec],
        inspectors: Mapping[str, InspectorSpec],
        ledger: Ledger,
        progress: Progress | None = None,
        spending: Spending | None = None,
        memory: int | None = None,
    ) -> None:
        self._models = models
        self.spending = spending or Spending({name: price_of(spec) for name, spec in models.items()})
        self._inspectors = inspectors
        self._progress = progress or Silent()
        self._stages = StageRunner(ledger, self._progress, self.spending)
        self.residency = Residency(memory)
        self._families: dict[str, tuple[str, ...]] = {}
        self._facts: dict[str, dict[str, Any]] | None = None
        self._identities: dict[str, dict[str, Any]] = {}
        self._phase = self._phases = 0

    def expect(self, phases: int) -> None:
        """Set the number of progress steps."""
        self._phases = phases

    def phase(self, title: str) -> None:
        """Begin the next progress step."""
        self._phase += 1
        self._progress.phase(self._phase, max(self._phases, self._phase), title)

    @property
    def computed(self) -> dict[str, int]:
        """Items computed, by stage."""
        return self._stages.computed

    @property
    def reused(self) -> dict[str, int]:
        """Items reused from the ledger, by stage."""
        return self._stages.reused

    @property
    def loads(self) -> dict[str, int]:
        """Loads per model."""
        return self.residency.loads

    def plan(self, items: Mapping[str, int]) -> None:
        """Register how many items each model or inspector will get; the most used is evicted last."""
        for name, count in items.items():
            self.residency.plan({self.place(name): count})

    def place(self, name: str) -> str:
        """Return the key under which a model or inspector is held in memory."""
        if name not in self._inspectors:
            return weights_key(self.identity(name))
        return digest([self.identity(member) for member in self._family(name)])

    def identity(self, name: str) -> dict[str, Any]:
        """Return the identity of a model or inspector. Raises UsageError for an unknown name."""
        if name not in self._identities:
            if name in self._inspectors:
                self._identities[name] = inspector_identity(self._inspectors[name])
            else:
                spec = self._model(name)
                self._identities[name] = make_engine(spec).identity() | from_plugin(spec)
        return self._identities[name]

    def complete(self, model: str, requests: Sequence[Request]) -> list[Completion]:
        """Return completions in the order of the requests.

        Failed items are not stored: a rerun computes them again.
        """
        identity = self.identity(model)
        by_item = not self._model(model).live
        stage = Stage[Request, Completion](
            "complete",
            model,
            self._model(model).items_at_once,
            key=lambda r: digest(["complete", identity, r.key_fields(), r.item if by_item else ""]),
            group=lambda r: f"{r.chat} {r.decoding.model_dump_json()}",
            size=lambda r: len(r.prefix) + len(r.answer) + len(r.suffix),
            run=lambda batch: self._engine(model).complete(batch),
            encode=_plain,
            decode=lambda value: Completion(**value),
            keep=lambda completion: completion.status != "error",
            tokens=lambda completion: completion.completion_tokens,
            at_most=lambda request: self.spending.at_most(model, request),
            cost=lambda _, completion: self.spending.cost_of(model, completion),
            stream=self._completions(model) if self._streams(model) else None,
            cut=(lambda batch: self._cutter(model).cut(batch)) if self._cuts(model) else None,
        )
        found = self._through(stage, self._in_form(model, requests))
        return [replace(completion, cost=self.spending.cost_of(model, completion)) for completion in found]

    def choose(
        self, model: str, requests: Sequence[Request], choices: Sequence[str]
    ) -> list[dict[str, float]]:
        """Return the probability of each choice as the next token, in the order of the requests."""
        identity = self.identity(model)
        stage = Stage[Request, dict[str, float]](
            "choose",
            model,
            self._model(model).choices_at_once,
            key=lambda r: digest(["choose", identity, r.key_fields(), list(choices)]),
            group=lambda r: str(r.chat),
            size=lambda r: len(r.prefix) + len(r.answer) + len(r.suffix),
            run=lambda batch: self._engine(model).choose(batch, choices),
            encode=dict,
            decode=dict,
            keep=bool,  # an empty mapping is a failed call
            # Probabilities come without token counts, so their cost is estimated.
            at_most=lambda request: self.spending.at_most(model, request, 1),
            cost=lambda request, _: self.spending.at_most(model, request, 1),
            stream=self._choices(model, choices) if self._streams(model) else None,
            cut=(lambda batch: self._cutter(model).cut(batch, 1)) if self._cuts(model) else None,
        )
        found = self._through(stage, self._in_form(model, requests))
        costs = [self.spending.at_most(model, request, 1) for request in requests]
        return [Chosen.of(chosen, cost) for chosen, cost in zip(found, costs, strict=True)]

    def score(self, inspector: str, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        """Return scores of (prompt, answer) pairs, in their order."""
        identity = self.identity(inspector)
        stage = Stage[tuple[str, str], Score](
            "score",
            inspector,
            self._inspectors[inspector].batch_size or DEFAULT_BATCH,
            key=lambda pair: _score_key(identity, pair),
            group=lambda _: "",
            size=lambda pair: len(pair[0]) + len(pair[1]),
            run=lambda batch: self._scores(inspector, batch),
            encode=asdict,
            decode=lambda value: Score(**value),
            cut=lambda batch: self._classifier(self._family(inspector)).cut(batch),
        )
        return self._through(stage, pairs)

    def rank(self, ranker: Ranker, pairs: Sequence[PairText]) -> list[PairLogit]:
        """Return the logits of a pair ranker, which forms its own batches by token length."""
        identity = ranker.identity()
        stage = Stage[PairText, PairLogit](
            "rank",
            ranker.model,
            _RANKER_BUNDLE * ranker.batch_size,
            key=lambda pair: digest(["rank", identity, list(pair)]),
            group=lambda _: "",
            size=lambda pair: sum(map(len, pair)),
            run=lambda batch: self._ranker(ranker, digest(identity)).logits(batch),
            encode=asdict,
            decode=lambda value: PairLogit(**value),
            keep=lambda logit: math.isfinite(logit.value),
        )
        return self._through(stage, pairs)

    def _through(self, stage: Stage[ItemT, ResultT], items: Sequence[ItemT]) -> list[ResultT]:
        """Return the stage's results in the order of the items, and update the residency's plan."""
        results = self._stages.run(stage, items)
        if stage.model in self._models or stage.model in self._inspectors:
            self.residency.complete(self.place(stage.model), len(items))
        return results

    def close(self) -> None:
        """Release servers and devices that engines hold. Facts about engines stay available."""
        self._facts = self.engine_facts()
        for engine in self.residency.instances():
            getattr(engine, "close", lambda: None)()

    def engine_facts(self) -> dict[str, dict[str, Any]]:
        """Return the facts that the used engines report, by model."""
        if self._facts is not None:
            return self._facts
        used = [name for name in self.loads if name in self._models]
        engines = {name: self.residency.find(self.place(name)) for name in used}
        facts: dict[str, dict[str, Any]] = {n: getattr(e, "facts", dict)() for n, e in engines.items()}
        return {name: said for name, said in facts.items() if said}

    def _in_form(self, model: str, requests: Sequence[Request]) -> Sequence[Request]:
        """Return the requests without the chat template where the model is used without one."""
        return requests if self._model(model).chat else [replace(r, chat=False) for r in requests]

    def _streams(self, model: str) -> bool:
        return isinstance(make_engine(self._model(model)), StreamingEngine)

    def _cuts(self, model: str) -> bool:
        return isinstance(make_engine(self._model(model)), CuttingEngine)

    def _cutter(self, model: str) -> CuttingEngine:
        return cast(CuttingEngine, self._engine(model))

    def _completions(
        self, model: str
    ) -> Callable[[Mapping[str, Request], Hooks], Iterator[Mapping[str, Completion]]]:
        return lambda items, hooks: cast(StreamingEngine, self._engine(model)).stream(items, hooks)

    def _choices(
        self, model: str, choices: Sequence[str]
    ) -> Callable[[Mapping[str, Request], Hooks], Iterator[Mapping[str, dict[str, float]]]]:
        return lambda items, hooks: cast(StreamingEngine, self._engine(model)).stream_choices(
            items, choices, hooks
        )

    def _model(self, name: str) -> ModelSpec:
        if name not in self._models:
            raise UsageError(f"unknown model {name!r}: {nearest(name, self._models)}")
        return self._models[name]

    def _engine(self, name: str) -> Engine:
        # Two names for the same weights share one model in memory; requests carry the chat flag.
        spec, key = self._model(name), self.place(name)

        def make() -> Engine:
            engine = make_engine(spec.model_copy(update={"chat": True}))
            getattr(engine, "load_beside", lambda _: None)(list(self._models.values()))
            return engine

        engine: Engine = self.residency.get(key, name, spec.resident_bytes(), make)
        return engine

    def _ranker(self, spec: Ranker, key: str) -> PairEngine:
        ranker: PairEngine = self.residency.get(key, spec.model, spec.size(), spec.load)
        return ranker

    def _scores(self, inspector: str, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        """Return one inspector's scores; those of others that share its encoder are stored too."""
        family = self._family(inspector)
        heads = dict(zip(family, self._classifier(family).score_all(pairs), strict=True))
        for sibling in family:
            if self.identity(sibling) != self.identity(inspector):
                self._keep_scores(sibling, pairs, heads[sibling])
        return heads[inspector]

    def _keep_scores(self, name: str, pairs: Sequence[tuple[str, str]], scores: Sequence[Score]) -> None:
        keys = [_score_key(self.identity(name), pair) for pair in pairs]
        self._stages.add("score", {k: asdict(score) for k, score in zip(keys, scores, strict=True)})

    def _classifier(self, family: tuple[str, ...]) -> Classifier:
        specs = [self._inspectors[name] for name in family]
        key = digest([self.identity(name) for name in family])
        classifier: Classifier = self.residency.get(
            key, ", ".join(family), classifier_bytes(specs[0]), lambda: Classifier(*specs)
        )
        return classifier

    def _family(self, name: str) -> tuple[str, ...]:
        """Return the inspectors that share this one's encoder, including itself, in declared order."""
        if name not in self._families:
            self._families |= families(self._inspectors)
        return self._families[name]


def _score_key(identity: Mapping[str, Any], pair: tuple[str, str]) -> str:
    return digest(["score", identity, list(pair)])
