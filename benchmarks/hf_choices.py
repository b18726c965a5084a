"""Effect of the hf engine's design choices on a CPU: cache, weight order, shared prefixes, precision.

SmolLM2 completes the same prompts, 32 greedy tokens at most: questions, and corrections that begin with the
same 600 tokens. One choice at a time is reverted: transformers' dynamic cache instead of buffers updated in
place (which disables shared prefixes as well), torch's weight order instead of oneDNN's, float32 instead of
bfloat16. A result is the reverted engine's time over the default engine's.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from _common import arguments, finish, spread
from _workloads import as_corrections, open_questions

PROMPTS, QUICK_PROMPTS, TOKENS, QUICK_TOKENS, ROUNDS = 48, 8, 32, 8, 5
VARIANTS = {
    "as it is": {},
    "dynamic cache": {"dynamic": True},
    "weights unpacked": {"unpacked": True},
}


def engine(dtype: str, *, dynamic: bool = False, unpacked: bool = False) -> Any:
    """Return a loaded engine with some of its choices reverted."""
    import aligner_bench.engines.onednn_linear as onednn_linear
    from aligner_bench.engines.base import model_spec
    from aligner_bench.engines.hf import HFEngine

    made = HFEngine(model_spec(engine="hf", model="smollm2-135m-instruct", dtype=dtype))
    reorder = onednn_linear.reorder_weights
    if unpacked:
        onednn_linear.reorder_weights = lambda _: False
    try:
        made.load()
    finally:
        onednn_linear.reorder_weights = reorder
    if dynamic:
        made._prefixes = None
    return made


def requests(turn: int, options: argparse.Namespace) -> dict[str, list[Any]]:
    """Return the prompts of one round, by kind."""
    from aligner_bench.core.types import Decoding, Request

    how = Decoding(max_new_tokens=QUICK_TOKENS if options.quick else TOKENS)
    asked = open_questions(options.data_dir)[: QUICK_PROMPTS if options.quick else PROMPTS]
    asked = [f"Round {turn}. {question}" for question in asked]
    kinds = {"questions": asked, "corrections": as_corrections(asked)}
    return {kind: [Request(text, decoding=how) for text in texts] for kind, texts in kinds.items()}


def seconds(made: Any, asked: list[Any]) -> float:
    """Return the seconds of one pass over the prompts, in the engine's own batches."""
    begin = time.perf_counter()
    for batch in made.cut(asked):
        made.complete([asked[i] for i in batch])
    return time.perf_counter() - begin


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of every variant")


def main() -> None:
    options = arguments(__doc__ or "", more)
    made = {
        (dtype, name): engine(dtype, **turned)
        for dtype in ("float32", "bfloat16")
        for name, turned in VARIANTS.items()
    }
    taken: dict[tuple[str, str, str], list[float]] = {}
    for turn in range(1 if options.quick else options.rounds):
        for kind, asked in requests(turn, options).items():
            for (dtype, name), one in made.items():
                taken.setdefault((kind, dtype, name), []).append(seconds(one, asked))
    found = []
    for (kind, dtype, name), times in taken.items():
        told = spread(times)
        mine = taken[kind, dtype, "as it is"]
        ratio = told["median"] / spread(mine)["median"]
        print(f"{kind:<12} {dtype:<9} {name:<17} {told['median']:7.1f} s {ratio:6.2f}")
        if name != "as it is":
            rounds = [b / a for a, b in zip(mine, times, strict=True)]
            found.append(
                {
                    "name": f"hf_choices: {kind}, {dtype}, {name}",
                    "ours": spread(mine)["median"],
                    "rival": told["median"],
                    "unit": "s",
                    "ratio": ratio,
                    "ratio_range": [min(rounds), max(rounds)],
                    "goal": 1.0,
                    "ok": None if options.quick else ratio >= 1.0,
                    "prompts": len(asked),
                }
            )
    finish("hf_choices", found, options)


if __name__ == "__main__":
    main()
