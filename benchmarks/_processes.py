"""Worker processes of the measurements, connected by a pipe: one job in, one answer out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


class Side:
    """One side of a comparison, as a context manager; its process ends with it."""

    def __init__(self, name: str, side: str, options: dict[str, Any], python: str = sys.executable) -> None:
        self.name = name
        self._log = tempfile.NamedTemporaryFile(suffix=".log")  # noqa: SIM115
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "HF_HUB_OFFLINE": "1",
            "OPENAI_API_KEY": "none",
        }
        self._process = subprocess.Popen(
            [python, str(ROOT / "benchmarks" / "_engine_sides.py"), side, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )
        self._answer()

    def __call__(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a job."""
        assert self._process.stdin is not None
        print(json.dumps(job), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            tail = Path(self._log.name).read_text(errors="replace")[-3000:]
            raise RuntimeError(f"{self.name} ended:\n{tail}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Side:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
