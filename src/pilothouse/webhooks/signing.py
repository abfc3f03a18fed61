"""Signatures as Standard Webhooks has them (https://www.standardwebhooks.com): HMAC-SHA256 over id, time and body."""

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256

from pilothouse.errors import ConfigurationError

_PREFIX = "whsec_"
_SIZES = range(24, 65)
HOW_TO_MAKE_ONE = 'echo "whsec_$(openssl rand -base64 32)"'


def secrets_from(setting: str | None) -> Sequence[bytes]:
    """The secrets in the setting, separated by spaces. Raises `ConfigurationError`, which does not show them."""
    return [_secret(text) for text in (setting or "").split()]


def _secret(text: str) -> bytes:
    try:
        if text.startswith(_PREFIX) and len(key := b64decode(text[len(_PREFIX) :], validate=True)) in _SIZES:
            return key
    except binascii.Error:
        pass
    raise ConfigurationError(
        f"webhook_secret must be {_PREFIX} and {_SIZES[0]} to {_SIZES[-1]} bytes in base64. Make one: {HOW_TO_MAKE_ONE}"
    )


def signed_headers(secrets: Sequence[bytes], message_id: str, seconds: int, body: bytes) -> Mapping[str, str]:
    """The headers of a message; one signature by each secret, so that receivers can go over from one to the next."""
    content = b"%b.%d.%b" % (message_id.encode(), seconds, body)
    signatures = [b64encode(hmac.digest(secret, content, sha256)).decode() for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
