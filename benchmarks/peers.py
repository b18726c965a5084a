"""Tokens per second of our engines against other harnesses, after loading, with SmolLM2 in bf16.

Three workloads: A, at most 64 greedy tokens for questions that request long answers; B, natural stops
within 256 tokens; C, a prompted corrector: every prompt begins with the same 600 tokens, 64 new tokens
each. Every side gets the same prompts in the model's chat template. They differ from round to round, so
that caches cannot help. Rivals: lm-eval's hf backend at its fastest batch size, AlpacaEval's
huggingface_local_completions at the same, and lm-eval's local-completions against a vLLM server (its vllm
backend does not start with vLLM's CPU build). Ours are given no batch size.

All sides, rivals too, run with OMP_WAIT_POLICY=PASSIVE unless the environment says otherwise: spinning
threads would slow the measured side whenever another program runs.

A rival's batch size is chosen on part of a round that is not counted. AlpacaEval, which no goal names,
takes part in the first round of each workload only: it batches as lm-eval's hf does, without sorting by
length.

"The fastest at the same weights" is the better of vLLM and of OpenVINO with the weights as 16-bit floats.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Sequence
from typing import Any

from _common import RESULTS, arguments, finish, machine, spread
from _processes import Side
from _workloads import as_corrections, open_questions, rendered

PROMPTS, QUICK_PROMPTS, ROUNDS = 256, 8, 5
LIMITS, QUICK_LIMITS = {"A": 64, "B": 256, "C": 64}, {"A": 8, "B": 16, "C": 8}
Trials = dict[str, tuple[int, Sequence[int]]]
"""For each workload the prompts of a trial, and the batch sizes (or calls in flight) to choose from."""
TRIALS: dict[str, Trials] = {
    "lm-eval hf": {"A": (256, (64, 128, 256)), "B": (128, (64, 128)), "C": (64, (8, 16, 32, 64))},
    "lm-eval vllm": {"A": (256, (64, 128, 256)), "B": (128, (64, 128)), "C": (128, (64, 128))},
}
QUICK_TRIAL = (QUICK_PROMPTS, (8,))
SOME_ROUNDS = {"AlpacaEval": 1}
GOALS: dict[tuple[str, str], dict[str, float | None]] = {
    ("hf", "lm-eval hf"): {"A": 1.0, "B": 1.1, "C": 2.5},
    ("hf", "AlpacaEval"): {"A": None, "B": None, "C": None},
    ("quickest", "lm-eval hf"): {"A": 1.8, "B": 1.8, "C": 5.0},
    ("vllm", "lm-eval vllm"): {"A": 0.95, "B": 0.95, "C": 0.95},
}
AT_LENGTH = " Answer at length, in at least three hundred words."
Times = dict[str, list[dict[str, Any]]]


def sides(stack: contextlib.ExitStack, compiled: bool) -> dict[str, Side]:
    """Return all sides, loaded and waiting, by name."""
    from aligner_bench.engines.base import model_spec
    from aligner_bench.engines.embedded import SMOLLM2, converted_smollm2
    from aligner_bench.engines.vllm_env import vllm_python
    from aligner_bench.engines.vllm_server import Server

    folder, python = str(converted_smollm2()), vllm_python()[0]
    base = {"model": SMOLLM2, "dtype": "bfloat16"}
    vllm = {**base, "enforce_eager": not compiled}
    server = Server(model_spec(engine="vllm-server", **vllm))
    stack.callback(server.stop)
    server.wait()
    made = [
        Side("hf", "ours", {"model": {**base, "engine": "hf"}}),
        Side("vllm", "ours", {"model": {**vllm, "engine": "vllm"}}, python),
        Side("openvino", "ours", {"model": {**base, "engine": "openvino", "unpack_gguf": True}}),
        Side("lm-eval hf", "lm_eval_hf", {"folder": folder}),
        Side("AlpacaEval", "alpaca_eval", {"folder": folder}),
        Side("lm-eval vllm", "lm_eval_api", {"folder": folder, "url": server.url}),
    ]
    return {side.name: stack.enter_context(side) for side in made}


def job(workload: str, turn: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return the prompts of one round."""
    from transformers import AutoTokenizer

    from aligner_bench.engines.embedded import converted_smollm2

    count = QUICK_PROMPTS if options.quick else PROMPTS
    questions = open_questions(options.data_dir)[:count]
    if workload == "A":
        questions = [question + AT_LENGTH for question in questions]
    if workload == "C":
        questions = as_corrections(questions)
    questions = [f"Round {turn}. {question}" for question in questions]
    strings = rendered(questions, AutoTokenizer.from_pretrained(converted_smollm2()))
    limit = (QUICK_LIMITS if options.quick else LIMITS)[workload]
    return {"questions": questions, "rendered": strings, "max_new_tokens": limit, "batch_size": 64}


def best_batch(side: Side, workload: str, options: argparse.Namespace) -> int:
    """Return the batch size, or number of calls in flight, that is fastest on part of the work."""
    prompts, sizes = QUICK_TRIAL if options.quick else TRIALS[side.name][workload]
    if len(sizes) == 1:
        return sizes[0]
    speeds = {}
    for size in sizes:
        work = job(workload, -size, options)  # new prompts: a server has not cached them at another size
        part = {name: work[name][:prompts] for name in ("questions", "rendered")}
        done = side({**work, **part, "batch_size": size})
        speeds[size] = done["rows"] / done["seconds"]
    print(f"  {side.name}, prompts/s:", ", ".join(f"{k}: {v:.2f}" for k, v in speeds.items()), flush=True)
    return max(speeds, key=lambda size: speeds[size])


def measure(
    all_sides: dict[str, Side], workload: str, options: argparse.Namespace
) -> tuple[Times, dict[str, int]]:
    """Return seconds and tokens of every side in every round, and the rivals' batch sizes."""
    chosen = {name: best_batch(all_sides[name], workload, options) for name in TRIALS}
    chosen["AlpacaEval"] = chosen["lm-eval hf"]
    times: Times = {name: [] for name in all_sides}
    for turn in range(1 if options.quick else options.rounds):
        names = [name for name in all_sides if turn < SOME_ROUNDS.get(name, turn + 1)]
        work = job(workload, turn, options)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            times[name].append(all_sides[name]({**work, "batch_size": chosen.get(name, 0)}))
        done = ", ".join(f"{name} {times[name][-1]['seconds']:.1f} s" for name in names)
        print(f"  round {turn + 1}: {done}", flush=True)
    return times, chosen


def rows_of(workload: str, times: Times, chosen: dict[str, int], quick: bool) -> list[dict[str, Any]]:
    """Return one result for each pair of sides that a goal names."""
    seconds = {name: [row["seconds"] for row in rows] for name, rows in times.items()}
    quickest = min(("vllm", "openvino"), key=lambda name: spread(seconds[name])["median"])
    found = []
    for (ours, rival), goals in GOALS.items():
        name = quickest if ours == "quickest" else ours
        turns = min(len(seconds[name]), len(seconds[rival]))  # only rounds in which both took part
        mine, theirs = (spread(seconds[side][:turns])["median"] for side in (name, rival))
        rounds = [b / a for a, b in zip(seconds[name][:turns], seconds[rival], strict=True)]
        ratio, goal = theirs / mine, goals[workload]
        found.append(
            {
                "name": f"peers {workload}: {ours} against {rival}",
                "ours": mine,
                "rival": theirs,
                "unit": "s",
                "ratio": ratio,
                "ratio_range": [min(rounds), max(rounds)],
                "goal": goal,
                "ok": None if quick or goal is None else ratio >= goal,
                "our_engine": name,
                "our_tokens": times[name][0]["tokens"],
                "rival_tokens": times[rival][0]["tokens"],
                "rival_batch_size": chosen.get(rival),
                "rounds": len(rounds),
                "prompts": times[name][0]["rows"],
            }
        )
    return found


def kept(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return this machine's saved results for workloads that are not measured now."""
    file = RESULTS / "peers.json"
    if not options.save or not file.is_file():
        return []
    old = json.loads(file.read_text(encoding="utf-8"))
    again = tuple(f"peers {workload}:" for workload in options.workloads)
    same = old["machine"] == machine() and old["quick"] == options.quick
    return [row for row in old["results"] if same and not row["name"].startswith(again)]


def table(workload: str, times: Times) -> None:
    """Print seconds and tokens per second of each side."""
    print(f"workload {workload}")
    for name, rows in times.items():
        seconds = spread([row["seconds"] for row in rows])
        rate = spread([row["tokens"] / row["seconds"] for row in rows])["median"]
        bounds = f"({seconds['min']:.1f} to {seconds['max']:.1f})"
        print(f"  {name:<14} {seconds['median']:>7.1f} s {bounds:<18} {rate:>6.0f} tokens/s")


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workloads", default="ABC", help="which of A, B and C")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of every side")
    parser.add_argument("--eager", action="store_true", help="vLLM without compilation, on both sides")


def main() -> None:
    options = arguments(__doc__ or "", more)
    found = []
    with contextlib.ExitStack() as stack:
        all_sides = sides(stack, compiled=not (options.quick or options.eager))
        for workload in options.workloads:
            times, chosen = measure(all_sides, workload, options)
            table(workload, times)
            found += rows_of(workload, times, chosen, options.quick)
    for row in found:
        low, high = row["ratio_range"]
        print(f"{row['name']}: {row['ratio']:.2f} ({low:.2f} to {high:.2f}), goal {row['goal'] or 'none'}")
    finish("peers", [*kept(options), *found], options)


if __name__ == "__main__":
    main()
