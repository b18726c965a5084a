"""Fields of models that are called over HTTP."""

from __future__ import annotations

from pydantic import Field, field_serializer

from aligner_bench.core.textsafe import public_url
from aligner_bench.engines.base import ModelSpec


class CallFields(ModelSpec):
    """Settings for calls to a server."""

    concurrency: int = Field(
        32, ge=1, description="maximum calls in flight; lowered when the server refuses some"
    )
    timeout: float = Field(120.0, gt=0, description="seconds for one call")
    run_timeout: float | None = Field(
        None, gt=0, description="seconds after which a run starts no further calls and ends"
    )
    retries: int = Field(5, ge=0, description="retries of a call that failed transiently")

    @property
    def items_at_once(self) -> int:
        """Calls in flight."""
        return self.concurrency

    @property
    def choices_at_once(self) -> int:
        """Calls in flight."""
        return self.concurrency


class OpenAIFields(CallFields):
    """A model of an OpenAI-compatible server."""

    model: str = Field(min_length=1, description="the server's name of the model")
    base_url: str | None = Field(None, description="the server's address, ending in /v1")
    api_key_env: str = Field("OPENAI_API_KEY", description="environment variable with the key")
    api_key_keyring: str | None = Field(
        None, pattern=r"^[^/]+/.+$", description="SERVICE/USER in the system's keyring, instead"
    )
    rpm: float | None = Field(None, gt=0, description="maximum calls per minute")
    tpm: float | None = Field(None, gt=0, description="maximum tokens per minute")
    batch_api: bool = Field(False, description="through the provider's batches, slower and cheaper")

    @field_serializer("base_url")
    def _without_secrets(self, url: str | None) -> str | None:
        """Return the field values without passwords: manifests and hashes are made from dumps."""
        return public_url(url) if url else url
