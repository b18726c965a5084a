"""Judge calls per second through the harness, with its ledger, against a bare loop over the same SDK.

The server runs as its own process on this machine and answers after 200 ms; 64 calls are in flight. Our
side is the workbench as a run uses it: keys, ledger, parsed log-probabilities, results stored as they
arrive. The rival is ``AsyncOpenAI.chat.completions.create`` with the same bodies in 64 tasks, without
storage. Rounds alternate, each after a warm-up on the same client. The theoretical limit is 64 calls every
200 ms.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _common import arguments, finish, spread
from _fault_server import serving

CALLS, QUICK_CALLS, ROUNDS, QUICK_ROUNDS = 10_000, 1_000, 5, 2
WARM_UP = 640
AT_ONCE, LATENCY, GOAL = 64, 0.2, 0.95
ROOT = Path(__file__).resolve().parents[1]
QUESTION = "Which answer is better? " + "The quick brown fox jumps over the lazy dog. " * 20
Bodies = list[dict[str, Any]]


class Ours:
    """A workbench with a separate ledger."""

    def __init__(self, url: str, folder: Path) -> None:
        from aligner_bench.engines.base import model_spec
        from aligner_bench.runner.workbench import Workbench
        from aligner_bench.store.ledger import Ledger

        spec = model_spec(engine="openai", model="m", base_url=url, concurrency=AT_ONCE)
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.bench = Workbench({"api": spec}, {}, self.ledger)

    def __call__(self, questions: list[str]) -> int:
        """Send the questions; return how many were answered."""
        from aligner_bench.core.types import Request

        found = self.bench.choose("api", [Request(text) for text in questions], ("m", "M"))
        return sum(map(bool, found))

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()


class Bare:
    """The SDK in a loop."""

    def __init__(self, url: str) -> None:
        from openai import AsyncOpenAI

        self.loop = asyncio.new_event_loop()
        self.client = AsyncOpenAI(api_key="none", base_url=url, max_retries=0)

    def __call__(self, questions: list[str]) -> int:
        """Send the questions; return how many were answered."""
        waiting = iter(questions)
        return self.loop.run_until_complete(self._all(waiting))

    def close(self) -> None:
        """Close the connections."""
        self.loop.run_until_complete(self.client.close())
        self.loop.close()

    async def _all(self, waiting: Iterator[str]) -> int:
        return sum(await asyncio.gather(*(self._worker(waiting) for _ in range(AT_ONCE))))

    async def _worker(self, waiting: Iterator[str]) -> int:
        answered = 0
        for text in waiting:
            reply = await self.client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": text}],
                temperature=1.0,
                max_tokens=1,
                logprobs=True,
                top_logprobs=20,
            )
            answered += bool(reply.choices)
        return answered


def questions(calls: int, label: str) -> list[str]:
    """Return texts that no other round uses."""
    return [f"{QUESTION} {label} {i}" for i in range(calls)]


def rate(ask: Ours | Bare, calls: int, label: str) -> float:
    """Return calls per second, after a warm-up."""
    ask(questions(WARM_UP, f"{label} warm-up"))
    wanted = questions(calls, label)
    start = time.perf_counter()
    if ask(wanted) != calls:
        raise SystemExit("calls had no answer")
    speed = calls / (time.perf_counter() - start)
    ask.close()
    return speed


def main() -> None:
    options = arguments(__doc__ or "")
    calls, rounds = (QUICK_CALLS, QUICK_ROUNDS) if options.quick else (CALLS, ROUNDS)
    sys.path.insert(0, str(ROOT))
    limit = AT_ONCE / LATENCY
    ours, rival = [], []
    with tempfile.TemporaryDirectory() as folder, serving(latency=LATENCY) as url:
        for round_ in range(rounds):
            ours.append(rate(Ours(url, Path(folder)), calls, f"ours {round_}"))
            rival.append(rate(Bare(url), calls, f"bare {round_}"))
            print(f"round {round_}: ours {ours[-1]:.1f} calls/s, bare loop {rival[-1]:.1f}", flush=True)
    a, b = spread(ours), spread(rival)
    ratio = a["median"] / b["median"]
    print(f"{calls} calls, {AT_ONCE} at once, {LATENCY * 1000:.0f} ms; the limit is {limit:.0f} calls/s")
    for name, one in (("ours", a), ("bare loop", b)):
        share = one["median"] / limit
        print(f"{name:<10} {one['median']:>7.1f} calls/s ({one['min']:.1f} to {one['max']:.1f}), {share:.1%}")
    print(f"ratio {ratio:.3f} (goal {GOAL})")
    pairs = [x / y for x, y in zip(ours, rival, strict=True)]
    row = {"name": "judge_throughput", "ours": a, "rival": b, "ratio": ratio, "ratios": spread(pairs)}
    row |= {"goal": GOAL, "ok": ratio >= GOAL, "share_of_limit": a["median"] / limit}
    row |= {"rival_share_of_limit": b["median"] / limit, "calls": calls, "rounds": rounds}
    finish("judge_throughput", [row], options)


if __name__ == "__main__":
    main()
