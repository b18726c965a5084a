"""The programs of the engine measurements, each in its own process that loads once and is timed repeatedly.

    python benchmarks/_engine_sides.py SIDE '{"...": ...}'

reads jobs as JSON lines and answers each with one line: seconds, new tokens, rows. SIDE is ``ours`` (a
model of aligner-bench through its ledger), ``lm_eval_hf``, ``alpaca_eval`` or ``lm_eval_api`` (against a
server).
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

Job = dict[str, Any]


class Ours:
    """A workbench with one model and an empty ledger for every job, so that nothing is reused."""

    def __init__(self, options: Job) -> None:
        from aligner_bench.core.types import Decoding, Request
        from aligner_bench.engines.base import model_spec
        from aligner_bench.runner.workbench import Workbench
        from aligner_bench.store.ledger import Ledger

        self._decoding, self._request = Decoding, Request
        self._folder = tempfile.TemporaryDirectory()
        self._number = itertools.count()
        spec = model_spec(**options["model"])
        self._ledger = lambda: Ledger(Path(self._folder.name) / f"{next(self._number)}.sqlite")
        self._bench = lambda ledger: Workbench({"model": spec}, {}, ledger)
        with self._ledger() as ledger:
            self._loaded = self._bench(ledger)
            self._loaded.complete("model", [Request("Hello", decoding=Decoding(max_new_tokens=2))])

    def __call__(self, job: Job) -> Job:
        """Complete the job's questions."""
        how = self._decoding(max_new_tokens=job["max_new_tokens"])
        requests = [self._request(text, decoding=how) for text in job["questions"]]
        with self._ledger() as ledger:
            # The model stays loaded; requests and results go through an empty ledger.
            self._loaded._ledger = ledger
            begin = time.perf_counter()
            done = self._loaded.complete("model", requests)
            seconds = time.perf_counter() - begin
        failed = [c.error for c in done if c.status == "error"]
        assert not failed, failed[0]
        return {"seconds": seconds, "tokens": sum(c.completion_tokens for c in done), "rows": len(done)}


class LmEvalHF:
    """lm-eval's ``hf`` backend, bf16, at the job's batch size."""

    def __init__(self, options: Job) -> None:
        from lm_eval.models.huggingface import HFLM

        self._lm = HFLM(pretrained=options["folder"], dtype="bfloat16", device="cpu", batch_size=32)
        self._lm.generate_until(_instances(["Hello"], 2), disable_tqdm=True)

    def __call__(self, job: Job) -> Job:
        """Run ``generate_until`` on rendered prompts."""
        self._lm.batch_size_per_gpu = job["batch_size"]
        begin = time.perf_counter()
        texts = self._lm.generate_until(_instances(job["rendered"], job["max_new_tokens"]), disable_tqdm=True)
        return _told(time.perf_counter() - begin, texts, self._lm.tokenizer)


class LmEvalAPI:
    """lm-eval's ``local-completions`` against a server, with the job's number of calls in flight."""

    def __init__(self, options: Job) -> None:
        from lm_eval.models.openai_completions import LocalCompletionsAPI
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(options["folder"])
        self._make = lambda calls: LocalCompletionsAPI(
            model="model",
            base_url=f"{options['url']}/completions",
            tokenizer=options["folder"],
            tokenized_requests=False,
            num_concurrent=calls,
            max_length=8192,
        )

    def __call__(self, job: Job) -> Job:
        """Run ``generate_until`` on rendered prompts."""
        lm = self._make(job["batch_size"])
        begin = time.perf_counter()
        texts = lm.generate_until(_instances(job["rendered"], job["max_new_tokens"]), disable_tqdm=True)
        return _told(time.perf_counter() - begin, texts, self._tokenizer)


class AlpacaEval:
    """AlpacaEval's ``huggingface_local_completions``; loading is not counted."""

    def __init__(self, options: Job) -> None:
        import transformers  # before the stub for peft, which it would import

        if importlib.util.find_spec("peft") is None:  # imported by name, used for adapters only
            sys.modules["peft"] = types.ModuleType("peft")
            sys.modules["peft"].PeftModel = None  # type: ignore[attr-defined]
        import alpaca_eval.decoders.huggingface_local as module

        if getattr(sys.modules.get("peft"), "__spec__", True) is None:
            del sys.modules["peft"]

        self._module, self._folder = module, options["folder"]
        make_tokenizer = transformers.AutoTokenizer.from_pretrained
        self._tokenizer = make_tokenizer(self._folder)
        model = transformers.AutoModelForCausalLM.from_pretrained(self._folder, dtype="bfloat16")

        # It reloads at each call, and requests 8-bit weights by an argument that transformers 5 rejects.
        class Loaded:
            @staticmethod
            def from_pretrained(*_: Any, **__: Any) -> Any:
                return model

        class Tokens:
            @staticmethod
            def from_pretrained(*_: Any, **__: Any) -> Any:
                return make_tokenizer(options["folder"], padding_side="left")

        module.AutoModelForCausalLM, module.AutoTokenizer = Loaded, Tokens

    def __call__(self, job: Job) -> Job:
        """Complete rendered prompts."""
        begin = time.perf_counter()
        done = self._module.huggingface_local_completions(
            job["rendered"],
            model_name=self._folder,
            batch_size=job["batch_size"],
            max_new_tokens=job["max_new_tokens"],
            model_kwargs={"device_map": "cpu"},
        )
        return _told(time.perf_counter() - begin, done["completions"], self._tokenizer)


def _instances(texts: list[str], most: int) -> list[Any]:
    from lm_eval.api.instance import Instance

    how = {"until": [], "max_gen_toks": most, "do_sample": False}
    return [Instance("generate_until", {}, (text, dict(how)), i) for i, text in enumerate(texts)]


def _told(seconds: float, texts: list[str], tokenizer: Any) -> Job:
    counts = [len(tokenizer.encode(text, add_special_tokens=False)) for text in texts]
    return {"seconds": seconds, "tokens": sum(counts), "rows": len(texts)}


SIDES = {"ours": Ours, "lm_eval_hf": LmEvalHF, "lm_eval_api": LmEvalAPI, "alpaca_eval": AlpacaEval}


def main() -> None:
    """Answer jobs until the input ends. Only answers go to standard output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    side = SIDES[sys.argv[1]](json.loads(sys.argv[2]))
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(side(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
