"""Keys, from the environment or a keyring, and what else must never be repeated."""

from __future__ import annotations

import base64
import os
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit

from aligner_bench.core.errors import MissingExtraError, UsageError
from aligner_bench.engines.call_fields import OpenAIFields


def api_key(spec: OpenAIFields) -> str:
    """The model's key: from the keyring where one is named, else from the environment; empty if unset.

    UsageError where a keyring is named that has no such entry or cannot be used.
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
    """What in an address must not be repeated, also in the form in which it is sent."""
    parts = urlsplit(url)
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    sent = [base64.b64encode(login.encode()).decode(), login] if parts.username else []
    return [*sent, *(unquote(part) for part in (parts.username, parts.password, parts.query) if part)]
