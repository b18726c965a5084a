"""The ``openai`` engine: any server with OpenAI's protocol, self-hosted or a paid service.

A call that fails permanently is a completion with finish reason ``error``, whose message begins with its
kind (``faults.Fault``): the row is kept, and a rerun computes it again. Where several calls in a row fail
in a way that affects all others too, the stream ends early with a one-line error. The key comes from the
environment or a keyring; neither it nor user names, passwords and queries in ``base_url`` are in an
identity, a manifest or an error message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar
from urllib.parse import urlsplit
from uuid import uuid4

from aligner_bench.core.errors import MissingExtraError, UsageError
from aligner_bench.core.textsafe import public_url
from aligner_bench.core.types import Completion, Request
from aligner_bench.engines.api_keys import api_key, url_secrets
from aligner_bench.engines.base import Hooks
from aligner_bench.engines.call_fields import OpenAIFields
from aligner_bench.engines.openai_batch import Batches
from aligner_bench.engines.openai_calls import Caller
from aligner_bench.engines.openai_wire import Call, Dialect, choice_probabilities
from aligner_bench.engines.streaming import Loop, bundles, in_order

OPENAI_URL = "https://api.openai.com/v1"
_VERSION = 1  # part of the identity: raise it when the same request would be sent in another form


class OpenAIEngine:
    """One model of one server, with at most ``concurrency`` calls in flight."""

    def __init__(self, spec: OpenAIFields) -> None:
        self._spec = spec
        self._name: str = spec.model
        self._url = spec.base_url or OPENAI_URL
        parts = urlsplit(self._url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"engine openai: base_url must begin with http:// or https://: {public_url(self._url)}"
            )
        limit = "max_completion_tokens" if self._url == OPENAI_URL else "max_tokens"
        self._dialect = Dialect(self._name, spec.chat, limit, strict=self._url == OPENAI_URL)
        self._caller: Caller | None = None

    def identity(self) -> dict[str, Any]:
        """Return the model's name, the server's host and path, and whether the chat format is used."""
        chat = self._spec.chat
        return {
            "engine": "openai",
            "version": _VERSION,
            "model": self._name,
            "server": self._server(),
            "chat": chat,
        }

    def load(self) -> None:
        """Create the client without sending anything.

        Raises UsageError for a missing package, or a missing key for OpenAI's server.
        """
        if find_spec("openai") is None:
            raise MissingExtraError("openai", "openai", "engine openai")
        key = api_key(self._spec)
        if not key and self._url == OPENAI_URL:
            raise UsageError(f"engine openai: the environment variable {self._spec.api_key_env} is not set")
        self._key = key
        secrets = [*url_secrets(self._url), *([key] if key else [])]
        self._loop = Loop()
        self._caller = self._loop.call(lambda: Caller(self._spec, self._url, self._server(), key, secrets))

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete all requests, in order. A failed call is a completion with status error."""
        return in_order(self.stream, requests, uuid4().hex)

    def choose(self, requests: Sequence[Request], choices: Sequence[str]) -> list[dict[str, float]]:
        """Return the probability of each choice as the first token, from the server's top log-probabilities.

        An empty mapping is a failed call, or a server without log-probabilities.
        """
        return in_order(lambda keyed: self.stream_choices(keyed, choices), requests, uuid4().hex)

    def stream(
        self, requests: Mapping[str, Request], hooks: Hooks | None = None
    ) -> Iterator[dict[str, Completion]]:
        """Yield completions by key as they arrive.

        The key is sent too, so that the server can recognise a repeated call.
        """
        return self._stream({key: self._dialect.call(r) for key, r in requests.items()}, hooks or Hooks())

    def stream_choices(
        self, requests: Mapping[str, Request], choices: Sequence[str], hooks: Hooks | None = None
    ) -> Iterator[dict[str, dict[str, float]]]:
        """Yield choice probabilities by key as they arrive."""
        calls = {key: self._dialect.choice_call(request) for key, request in requests.items()}
        for bundle in self._stream(calls, hooks or Hooks()):
            yield {key: choice_probabilities(done, choices) for key, done in bundle.items()}

    def facts(self) -> dict[str, Any]:
        """Return counts of this process: calls, tries, retries and failures by kind, seconds waited."""
        return self._caller.facts() if self._caller else {}

    def close(self) -> None:
        """Close the connections and end their thread; ``facts`` stays available."""
        if self._caller is not None:
            self._loop.end(self._caller.close())

    def _stream(self, calls: Mapping[str, Call], hooks: Hooks) -> Iterator[dict[str, Completion]]:
        assert self._caller is not None, "call load first"
        if self._spec.batch_api:
            yield from Batches(self._caller, self._url, self._key, self.identity(), hooks).stream(calls)
            return
        caller = self._caller
        self._loop.call(lambda: caller.begin(hooks))
        yield from bundles(
            self._loop, calls, self._spec.concurrency, lambda key: caller.answer(key, calls[key])
        )
        if caller.stopped is not None:
            raise caller.stopped

    def _server(self) -> str:
        parts = urlsplit(public_url(self._url))
        return f"{parts.netloc.lower()}{parts.path.rstrip('/')}"


class OpenAIModel(OpenAIFields):
    """A model of an OpenAI-compatible server."""

    holds_weights: ClassVar[bool] = False
    paid: ClassVar[bool] = True

    def make(self) -> OpenAIEngine:
        """Return the engine, without making a call."""
        return OpenAIEngine(self)
