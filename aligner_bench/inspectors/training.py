"""Fine-tune an encoder to distinguish better answers from worse ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from aligner_bench.inspectors.base import Training, TrainingPair


def train_pairs(pairs: Sequence[TrainingPair], base: Path, target: Path, training: Training) -> None:
    """Train a two-class head and its encoder on ``pairs`` (worse -> 0, better -> 1); save into ``target``.

    Deterministic for the same pairs, base model, hyperparameters and machine.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with torch.random.fork_rng():
        torch.manual_seed(training.seed)
        tokenizer = AutoTokenizer.from_pretrained(base)
        model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2, dtype=torch.float32)
        model.train()
        rows = [(p.prompt, text, label) for p in pairs for label, text in ((0, p.worse), (1, p.better))]
        optimizer = torch.optim.AdamW(model.parameters(), lr=training.learning_rate, weight_decay=0.01)
        steps = training.epochs * -(-len(rows) // training.batch_size)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, total_iters=steps)
        order = random.Random(training.seed)
        for _ in range(training.epochs):
            order.shuffle(rows)
            for start in range(0, len(rows), training.batch_size):
                batch = rows[start : start + training.batch_size]
                encoded = tokenizer(
                    [row[0] for row in batch],
                    [row[1] for row in batch],
                    padding=True,
                    truncation="only_first",
                    max_length=training.max_length,
                    return_tensors="pt",
                )
                loss = model(**encoded, labels=torch.tensor([row[2] for row in batch])).loss
                loss.backward()
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
    model.eval().save_pretrained(target)
    tokenizer.save_pretrained(target)
