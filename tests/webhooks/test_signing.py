"""Signatures, as the reference library of Standard Webhooks verifies them."""

import time
from base64 import b64encode

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from tests.webhooks.receivers import SECRET

from pilothouse.errors import ConfigurationError
from pilothouse.webhooks.signing import secrets_from, signed_headers

BODY = '{"text":"grün"}'.encode()


def test_the_reference_library_takes_our_signatures_and_no_others() -> None:
    headers = dict(signed_headers(secrets_from(SECRET), "msg_1", int(time.time()), BODY))
    assert Webhook(SECRET).verify(BODY, headers) == {"text": "grün"}
    for changed in ({"webhook-id": "msg_2"}, {"webhook-timestamp": str(int(time.time()) - 7)}):
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(BODY, headers | changed)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY + b" ", headers)


def test_while_secrets_change_the_old_and_the_new_one_verify() -> None:
    new = "whsec_" + b64encode(b"n" * 24).decode()
    headers = dict(signed_headers(secrets_from(f"{new} {SECRET}"), "msg_1", int(time.time()), BODY))
    for secret in (new, SECRET):
        Webhook(secret).verify(BODY, headers)


@pytest.mark.parametrize(
    "secret",
    [
        "open sesame",
        SECRET.removeprefix("whsec_"),
        "whsec_" + b64encode(b"x" * 23).decode(),
        "whsec_" + b64encode(b"x" * 65).decode(),
        "whsec_###",
        f"{SECRET} whsec_",
    ],
)
def test_a_secret_that_is_none_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(
        ConfigurationError, match="webhook_secret must be whsec_ and 24 to 64 bytes"
    ) as caught:
        secrets_from(secret)
    assert secret not in str(caught.value)
