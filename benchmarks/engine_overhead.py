"""Overhead of `aligner-bench run` over its engine: whole runs against the engine's own loop, same tokens.

In each round both sides complete the same prompts (at most 64 greedy tokens, SmolLM2 in bf16) with the same
loaded model: a run from the experiment file to the written report, through an empty ledger; and, raw,
``vllm.LLM.generate``, ``ContinuousBatchingPipeline.generate``, and for hf the fastest in a trial:
transformers' ``generate`` over batches sorted by length, at several sizes, or the hf engine's own loop
called with all prompts at once. Loading is not counted on either side. Prompts differ from round to round,
so that caches cannot help. Each engine is measured in its own process, vLLM in the environment that has it.

    python benchmarks/engine_overhead.py [--quick] [--save] [--engines hf,vllm,openvino] [--rounds 5]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _common import arguments, finish, spread
from _workloads import open_questions

ITEMS, QUICK_ITEMS, ROUNDS = 512, 12, 5
TOKENS, QUICK_TOKENS = 64, 8
GOAL, LOWEST = 0.95, 0.90
BATCHES, QUICK_BATCHES = (32, 64, 128, 256), (8,)
CLASSES = {"vllm": "VLLMEngine", "openvino": "OpenVINOEngine", "hf": "HFEngine"}
Raw = Callable[[list[list[int]], int], int]  # token ids and most new tokens -> new tokens


def questions(turn: int, options: argparse.Namespace) -> list[str]:
    """Return one round's prompts."""
    count = QUICK_ITEMS if options.quick else ITEMS
    return [f"Round {turn}. {question}" for question in open_questions(options.data_dir)[:count]]


def write_experiment(folder: Path, turn: int, options: argparse.Namespace) -> Path:
    """Write an experiment of one system over one round's prompts; return its path."""
    rows = [{"prompt_id": f"q{i}", "text": text} for i, text in enumerate(questions(turn, options))]
    (folder / f"{turn}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / f"suite{turn}.yaml").write_text(
        f"name: prompts-{turn}\nversion: '1'\nlicence: see source\ndescription: open questions\n"
        f"sources:\n  - {{kind: packaged, path: {turn}.jsonl}}\n"
    )
    most = QUICK_TOKENS if options.quick else TOKENS
    file = folder / f"{turn}.yaml"
    file.write_text(
        f"name: overhead-{turn}\nsuites: [suite{turn}.yaml]\ndecoding: {{max_new_tokens: {most}}}\n"
        f"models:\n  one: {json.dumps(model_of(options.worker, options.quick))}\n"
        "systems:\n  base: {upstream: one}\n"
    )
    return file


def model_of(engine: str, quick: bool) -> dict[str, Any]:
    """Return the model of both sides."""
    extra = {"vllm": {"enforce_eager": quick}, "openvino": {"unpack_gguf": True}}
    return {"engine": engine, "model": "smollm2-135m-instruct", "dtype": "bfloat16", **extra.get(engine, {})}


class Kept:
    """Keeps the weights of an engine class loaded, so that loading is neither repeated nor counted."""

    def __init__(self, kind: Any) -> None:
        self.engine: Any = None
        self.seconds = 0.0
        whole = kind.load

        def load(this: Any) -> None:
            begin = time.perf_counter()
            if self.engine is None:
                whole(this)
                self.engine = this
            else:
                this.__dict__.update(self.engine.__dict__)
            self.seconds += time.perf_counter() - begin

        kind.load = load
        kind.unload = kind.close = lambda _: None


def timed_run(file: Path, kept: Kept) -> tuple[float, int]:
    """Return the seconds of a whole run without loading, and its new tokens."""
    import aligner_bench

    out, ledger = file.with_suffix(".out"), file.with_suffix(".sqlite")
    if hasattr(kept.engine, "_loaded"):
        kept.engine._loaded.llm.reset_prefix_cache()
    kept.seconds = 0.0
    begin = time.perf_counter()
    run = aligner_bench.run(aligner_bench.Experiment.load(file), out, ledger=ledger)
    seconds = time.perf_counter() - begin - kept.seconds
    rows = run.rows("responses")
    assert all(row["status"] != "error" for row in rows), rows[0]["error"]
    return seconds, sum(row["completion_tokens"] for row in rows)


def raw_ids(turn: int, kept: Kept, options: argparse.Namespace) -> list[list[int]]:
    """Return the token ids of a round.

    OpenVINO's cache cannot be cleared, so its raw side gets another round's number.
    """
    from aligner_bench.core.types import Request

    number = turn + 50 if options.worker == "openvino" else turn
    return [kept.engine._prompts.encode(Request(text), TOKENS)[0] for text in questions(number, options)]


def raw_vllm(engine: Any) -> Raw:
    """Return vLLM's own loop."""
    from vllm import SamplingParams

    def generate(ids: list[list[int]], most: int) -> int:
        params = SamplingParams(temperature=0.0, max_tokens=most)
        engine._loaded.llm.reset_prefix_cache()
        done = engine._loaded.llm.generate([{"prompt_token_ids": i} for i in ids], params, use_tqdm=False)
        return sum(len(one.outputs[0].token_ids) for one in done)

    return generate


def raw_openvino(engine: Any) -> Raw:
    """Return OpenVINO's own loop."""
    import numpy as np
    import openvino

    def generate(ids: list[list[int]], most: int) -> int:
        config = engine._pipeline.get_config()
        config.max_new_tokens, config.do_sample = most, False
        tensors = [openvino.Tensor(np.array([i], dtype=np.int64)) for i in ids]
        done = engine._pipeline.generate(tensors, [config] * len(tensors))
        return sum(len(one.m_generation_ids[0]) for one in done)

    return generate


def raw_hf(engine: Any, size: int) -> Raw:
    """Return transformers' ``generate`` over batches sorted by length."""
    import torch

    model, tokenizer = engine._model, engine._tokenizer
    tokenizer.padding_side = "left"

    def generate(ids: list[list[int]], most: int) -> int:
        total, order = 0, sorted(ids, key=len)
        for start in range(0, len(order), size):
            batch = tokenizer.pad({"input_ids": order[start : start + size]}, return_tensors="pt")
            with torch.inference_mode():
                done = model.generate(**batch.to(model.device), max_new_tokens=most, do_sample=False)
            made = done[:, batch["input_ids"].shape[1] :]
            total += int((made != tokenizer.pad_token_id).sum())
        return total

    return generate


def raw_own(engine: Any) -> Raw:
    """Return the loop of the hf engine, without ledger, suites, tables or report."""
    from aligner_bench.core.types import Decoding, Request
    from aligner_bench.engines.decoding import decode_batch

    def generate(ids: list[list[int]], most: int) -> int:
        import torch

        request = Request("", decoding=Decoding(max_new_tokens=most))
        total, order, size = 0, sorted(ids, key=len), engine.budget.rows
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            with torch.inference_mode():
                forward, n = engine._forward(), len(batch)
                done = decode_batch(
                    forward, engine._tokenizer, batch, [request] * n, engine._stop_ids, [()] * n
                )
            total += sum(row.tokens for row in done)
        return total

    return generate


def raw_loop(name: str, engine: Any, ids: list[list[int]], quick: bool) -> tuple[Raw, str | None]:
    """Return the fastest of the engine's own loops, and its name where there are several."""
    if name == "vllm":
        return raw_vllm(engine), None
    if name == "openvino":
        return raw_openvino(engine), None
    sizes = QUICK_BATCHES if quick else BATCHES
    loops = {f"generate, {size} rows": raw_hf(engine, size) for size in sizes} | {"own": raw_own(engine)}
    speeds = {}
    for title, loop in loops.items():
        begin = time.perf_counter()
        loop(ids[: max(sizes)], QUICK_TOKENS if quick else TOKENS)
        speeds[title] = min(len(ids), max(sizes)) / (time.perf_counter() - begin)
    print("prompts/s:", ", ".join(f"{title} {speed:.2f}" for title, speed in speeds.items()), file=sys.stderr)
    best = max(speeds, key=lambda title: speeds[title])
    return loops[best], best


def work(options: argparse.Namespace) -> dict[str, Any]:
    """Run one engine's rounds in this process; the sides alternate in starting."""
    module = importlib.import_module(f"aligner_bench.engines.{options.worker}")
    kept = Kept(getattr(module, CLASSES[options.worker]))
    most = QUICK_TOKENS if options.quick else TOKENS
    told: dict[str, Any] = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        timed_run(write_experiment(folder, 9, options), kept)  # loads, imports, compiles
        raw, told["loop"] = raw_loop(options.worker, kept.engine, raw_ids(8, kept, options), options.quick)
        for turn in range(10, 11 if options.quick else 10 + options.rounds):
            file, ids = write_experiment(folder, turn, options), raw_ids(turn, kept, options)

            def run(file: Path = file) -> None:
                seconds, told["run_tokens"] = timed_run(file, kept)
                told["ours"].append(seconds)

            def rival(ids: list[list[int]] = ids) -> None:
                begin = time.perf_counter()
                told["raw_tokens"] = raw(ids, most)
                told["theirs"].append(time.perf_counter() - begin)

            for side in (run, rival) if turn % 2 else (rival, run):
                side()
            print(
                f"{options.worker}: run {told['ours'][-1]:.2f} s, raw {told['theirs'][-1]:.2f} s",
                file=sys.stderr,
            )
    return told


def result(engine: str, told: dict[str, Any], quick: bool) -> dict[str, Any]:
    """Return the row of one engine."""
    mine, theirs = spread(told["ours"])["median"], spread(told["theirs"])["median"]
    rounds = [raw / run for run, raw in zip(told["ours"], told["theirs"], strict=True)]
    ratio = theirs / mine
    print(f"{engine:<9} run {mine:7.2f} s, raw {theirs:7.2f} s, ratio {ratio:.3f} "
          f"({min(rounds):.3f} to {max(rounds):.3f}), goal {GOAL}, lowest {LOWEST}")  # fmt: skip
    return {
        "name": f"engine_overhead {engine}",
        "ours": mine,
        "rival": theirs,
        "unit": "s",
        "ratio": ratio,
        "ratio_range": [min(rounds), max(rounds)],
        "goal": GOAL,
        "ok": None if quick else ratio >= GOAL and min(rounds) >= LOWEST,
        "our_tokens": told["run_tokens"],
        "rival_tokens": told["raw_tokens"],
        "rival_loop": told["loop"],
        "items": QUICK_ITEMS if quick else ITEMS,
    }


def ask(engine: str) -> dict[str, Any]:
    """Measure one engine in its own process."""
    from aligner_bench.engines.vllm_env import vllm_python

    python = vllm_python()[0] if engine == "vllm" else sys.executable
    root = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [python, __file__, *sys.argv[1:], "--worker", engine],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"},
    )
    if done.returncode:
        sys.exit(f"engine_overhead: {engine} ended with code {done.returncode}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engines", default=",".join(CLASSES), help="which, with commas between")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of both sides")
    parser.add_argument("--worker", help=argparse.SUPPRESS)


def main() -> None:
    options = arguments(__doc__ or "", more)
    if options.worker:
        print(json.dumps(work(options)))
        return
    rows = [result(engine, ask(engine), options.quick) for engine in options.engines.split(",")]
    finish("engine_overhead", rows, options)


if __name__ == "__main__":
    main()
