"""API keys from the environment or a keyring, and the secrets of an address."""

from __future__ import annotations

import base64
import os
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit

from aligner_bench.core.errors import MissingExtraError, UsageError
from aligner_bench.engines.call_fields import OpenAIFields


def api_key(spec: OpenAIFields) -> str:
    """Return the model's API key: from its keyring if one is named, else from the environment.

    Empty if unset. Raises UsageError where a keyring is named that lacks the entry or cannot be used.
    """
    if spec.api_key_keyring is None:
        return os.environ.get(spec.api_key_env, "")
    if find_spec("keyring") is None:
        raise MissingExtraError("keyring", "keyring", "engine openai: api_key_keyring")
    import keyring
    from keyring.errors import KeyringError

    service, _, user = spec.api_key_keyring.partition("/")
    try:
        key = keyring.get_password(service, user)
    except KeyringError as error:
        raise UsageError(f"engine openai: the keyring cannot be read ({type(error).__name__})") from None
    if not key:
        raise UsageError(
            f"engine openai: the keyring has no entry {spec.api_key_keyring}; "
            f"expected one made by: keyring set {service} {user}"
        )
    return str(key)


def url_secrets(url: str) -> list[str]:
    """Return the secret parts of an address, also in the encoded form in which they are sent."""
    parts = urlsplit(url)
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    sent = [base64.b64encode(login.encode()).decode(), login] if parts.username else []
    return [*sent, *(unquote(part) for part in (parts.username, parts.password, parts.query) if part)]
