"""Pairs per second of the pair ranker, against ``Blender.rank`` of the package llm-blender.

Both sides load one tiny checkpoint in PairRM's published format (random weights suffice to compare code),
in one process, with the same threads, and judge the same pairs of mixed lengths in both orders,
tokenisation included. ``rank`` runs at the fastest of its batch sizes in a trial. The scores of the timed
rounds are compared. Lengths are log-uniform and stay below 412 tokens per answer, so that ``rank``, whose
truncation depends on the batch, truncates nothing. Needs the package llm-blender.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from _common import arguments, finish, spread

PAIRS, QUICK_PAIRS, ROUNDS = 160, 48, 7
BATCH_SIZES = (1, 2, 4, 8, 16)
GOAL, TOLERANCE = 2.0, 1e-4


def texts(n: int, seed: int = 0) -> list[tuple[str, str, str]]:
    """Return prompts of 5 to 300 words and answers of 5 to 400, log-uniform, all words one token each."""
    from aligner_bench.inspectors.base import PACKAGED, packaged_pairs

    rng = random.Random(seed)
    every = Counter(" ".join(p.better for c in PACKAGED for p in packaged_pairs(c, "train")).split())
    words = [word for word, _ in every.most_common(300)]

    def text(most: int) -> str:
        return " ".join(rng.choices(words, k=round(5 * (most / 5) ** rng.random())))

    return [(text(300), text(400), text(400)) for _ in range(n)]


class Ours:
    """Our judge's engine; called with pairs, it returns the first answer's score of each."""

    def __init__(self, folder: Path) -> None:
        from aligner_bench.judges.pairrm.rankers import make_ranker
        from aligner_bench.judges.pairrm.spec import PairRMSpec

        self.ranker = make_ranker(PairRMSpec(kind="pairrm", model=str(folder)))

    def __call__(self, pairs: list[tuple[str, str, str]]) -> list[float]:
        """Return the scores of the first answers."""
        from aligner_bench.core.types import PairText

        there = [PairText(*pair) for pair in pairs]
        back = [PairText(p.prompt, p.second, p.first) for p in there]
        logits = [logit.value for logit in self.ranker.logits([*there, *back])]
        return [(a - b) / 2 for a, b in zip(logits[: len(pairs)], logits[len(pairs) :], strict=True)]


class Theirs:
    """``Blender.rank`` of the authors' package, called in the same way."""

    def __init__(self, folder: Path) -> None:
        from aligner_bench.judges.pairrm.blender import load_blender
        from aligner_bench.judges.pairrm.spec import PairRMSpec

        self.blender = load_blender(PairRMSpec(kind="pairrm", model=str(folder)), "cpu")
        self.batch_size = 1

    def __call__(self, pairs: list[tuple[str, str, str]]) -> list[float]:
        """Return the scores of the first answers."""
        prompts = [pair[0] for pair in pairs]
        answers = [list(pair[1:]) for pair in pairs]
        scores = self.blender.rank(
            prompts, answers, return_scores=True, batch_size=self.batch_size, disable_tqdm=True
        )
        return [float(score) for score in scores[:, 0]]


def timed(side: Any, pairs: list[tuple[str, str, str]]) -> tuple[float, list[float]]:
    """Return pairs per second, and the scores."""
    begin = time.perf_counter()
    scores = side(pairs)
    return len(pairs) / (time.perf_counter() - begin), scores


def best_batch_size(rival: Theirs, pairs: list[tuple[str, str, str]]) -> dict[int, float]:
    """Return pairs per second of each batch size, the better of two trials."""
    speeds = dict.fromkeys(BATCH_SIZES, 0.0)
    for _ in range(2):
        for size in BATCH_SIZES:
            rival.batch_size = size
            speeds[size] = max(speeds[size], timed(rival, pairs)[0])
    return speeds


def measure(
    ours: Ours, rival: Theirs, pairs: list[tuple[str, str, str]]
) -> tuple[list[float], list[float], float]:
    """Return both sides' pairs per second by round, and the largest difference of two scores."""
    mine: list[float] = []
    theirs: list[float] = []
    worst = 0.0
    for turn in range(ROUNDS):
        for side, speed in ((ours, mine), (rival, theirs)) if turn % 2 else ((rival, theirs), (ours, mine)):
            rate, scores = timed(side, pairs)
            speed.append(rate)
            if side is ours:
                our_scores = scores
            else:
                their_scores = scores
        worst = max(worst, *(abs(a - b) for a, b in zip(our_scores, their_scores, strict=True)))
    return mine, theirs, worst


def result(mine: list[float], theirs: list[float], worst: float, batch: int, pairs: int) -> dict[str, Any]:
    """Print the table; return its row."""
    a, b = spread(mine), spread(theirs)
    ratio, rounds = a["median"] / b["median"], [x / y for x, y in zip(mine, theirs, strict=True)]
    print(f"{pairs} pairs in both orders, {ROUNDS} rounds, 1 thread")
    print(f"{'ours':<24} {a['median']:>8.1f} pairs/s  ({a['min']:.1f} to {a['max']:.1f})")
    name = f"rank, batch {batch}"
    print(f"{name:<24} {b['median']:>8.1f} pairs/s  ({b['min']:.1f} to {b['max']:.1f})")
    print(f"ratio {ratio:.2f} ({min(rounds):.2f} to {max(rounds):.2f}), goal {GOAL:.0f}")
    print(f"largest difference of two scores {worst:.1e}, goal {TOLERANCE:g}")
    return {
        "name": "pairrm",
        "ours": a["median"],
        "rival": b["median"],
        "unit": "pairs/s",
        "ratio": ratio,
        "ratio_range": [min(rounds), max(rounds)],
        "goal": GOAL,
        "ok": ratio >= GOAL and worst <= TOLERANCE,
        "largest_difference": worst,
        "rival_batch_size": batch,
        "pairs": pairs,
        "threads": 1,
    }


def main() -> None:
    options = arguments(__doc__ or "")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    warnings.simplefilter("ignore")
    try:
        import llm_blender  # noqa: F401
    except ImportError as error:
        if error.name == "llm_blender":
            sys.exit("pairrm needs the package llm-blender: pip install 'aligner-bench[llm-blender]'")
    import torch

    torch.set_num_threads(1)
    from aligner_bench.judges.pairrm.tiny import write_tiny_ranker

    pairs = texts(QUICK_PAIRS if options.quick else PAIRS)
    with tempfile.TemporaryDirectory() as home:
        folder = write_tiny_ranker(Path(home))
        ours, rival = Ours(folder), Theirs(folder)
    trial = pairs[: len(pairs) // 4]
    timed(ours, trial)
    speeds = best_batch_size(rival, trial)
    rival.batch_size = max(speeds, key=lambda size: speeds[size])
    print("rank by batch size, pairs/s:", ", ".join(f"{k}: {v:.1f}" for k, v in speeds.items()))
    mine, theirs, worst = measure(ours, rival, pairs)
    finish("pairrm", [result(mine, theirs, worst, rival.batch_size, len(pairs))], options)


if __name__ == "__main__":
    main()
