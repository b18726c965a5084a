"""Make addition questions with their answers."""

import random
from collections.abc import Callable
from pathlib import Path

from pydantic import Field

from aligner_bench.suites.types import Prompt, Suite
from aligner_bench.suites.use import SuiteUse


class ArithmeticSuite(SuiteUse):
    """Additions of two numbers, drawn by a seed, with references. The same options give the same suite."""

    n: int = Field(20, ge=1, description="number of prompts")
    seed: int = Field(0, description="seed of the numbers")
    largest: int = Field(99, ge=1, description="largest number to add")

    @property
    def label(self) -> str:
        """The suite's name in tables."""
        return "arithmetic"

    def load(self, data_dir: Path | None, anchor: Callable[[Path], Path]) -> Suite:
        """The prompts; nothing is read from disk."""
        draw = random.Random(self.seed)
        pairs = [(draw.randint(0, self.largest), draw.randint(0, self.largest)) for _ in range(self.n)]
        prompts = [
            Prompt(f"sum-{i:04d}", f"What is {a} + {b}?", category="addition", references=(str(a + b),))
            for i, (a, b) in enumerate(pairs)
        ]
        source = f"drawn with seed {self.seed}, numbers up to {self.largest}"
        return Suite.of(self.label, prompts, version="1", licence="CC0-1.0", source=source)
