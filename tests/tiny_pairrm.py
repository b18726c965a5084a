"""Write a tiny pair ranker in the format of llm-blender/PairRM: ``python -m tests.tiny_pairrm FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from aligner_bench.judges.pairrm.tiny import write_tiny_hf_ranker, write_tiny_ranker

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.tiny_pairrm FOLDER")
    target = Path(sys.argv[1])
    print(write_tiny_ranker(target / "pairrm"))
    print(write_tiny_hf_ranker(target / "pairrm", target / "pairrm-hf"))
