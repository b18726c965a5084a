"""Best of n: several samples of one upstream, of which inspectors choose."""

from __future__ import annotations

from collections.abc import Sequence

from aligner_bench.types import Answer, Completion, Services, Step


def pick_best(
    prompts: Sequence[str],
    samples: Sequence[Sequence[Completion]],
    inspectors: Sequence[str],
    services: Services,
) -> list[Answer]:
    """For each prompt the sample with the highest mean inspector score; the first one where scores tie.

    ``samples`` has n completions a prompt. Samples with status error cannot win; where all are errors, the
    answer is one.
    """
    pairs = [(prompt, s.text) for prompt, row in zip(prompts, samples, strict=True) for s in row]
    by_inspector = {name: services.score(name, pairs) for name in inspectors}
    answers, place = [], 0
    for row in samples:
        scored = [
            {name: values[place + k].value for name, values in by_inspector.items()} for k in range(len(row))
        ]
        place += len(row)
        answers.append(_best(row, scored))
    return answers


def _best(row: Sequence[Completion], scores: Sequence[dict[str, float]]) -> Answer:
    def mean(k: int) -> float:
        return -1.0 if row[k].status == "error" else sum(scores[k].values()) / len(scores[k])

    best = max(range(len(row)), key=mean)
    trace = tuple(
        Step(k, "chosen" if k == best else f"sample {k}", "candidate", sample.text, scores[k])
        for k, sample in enumerate(row)
    )
    return Answer(
        text=row[best].text,
        status=row[best].status,
        finish_reason=row[best].finish_reason,
        calls=len(row),
        prompt_tokens=sum(s.prompt_tokens for s in row),
        completion_tokens=sum(s.completion_tokens for s in row),
        cut_tokens=row[best].cut_tokens,
        seconds=sum(s.seconds for s in row),
        error=row[best].error,
        trace=trace,
        cost=sum(s.cost for s in row),
    )
