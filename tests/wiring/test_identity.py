"""ID tokens, verified against a real key server on a socket."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from pilothouse.errors import Unauthenticated
from pilothouse.settings import AuthSettings
from pilothouse.wiring.identity import TokenVerifier

ISSUER, AUDIENCE = "https://issuer.example", "pilothouse"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def jwks_url() -> Iterator[str]:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
    body = json.dumps({"keys": [public | {"kid": "one", "use": "sig", "alg": "RS256"}]}).encode()

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    with HTTPServer(("127.0.0.1", 0), Keys) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/keys"
        server.shutdown()
        thread.join()


def _token(key: rsa.RSAPrivateKey = KEY, **claims: object) -> str:
    now = int(time.time())
    known = {"iss": ISSUER, "aud": AUDIENCE, "sub": "1234", "iat": now, "exp": now + 60}
    return jwt.encode({**known, **claims}, key, algorithm="RS256", headers={"kid": "one"})


def _user(jwks_url: str, headers: dict[str, str], header: str = "authorization") -> str:
    verifier = TokenVerifier(AuthSettings(ISSUER, AUDIENCE, jwks_url, header))
    return asyncio.run(verifier(headers)).user


def test_the_subject_of_a_valid_token_is_the_user(jwks_url: str) -> None:
    assert _user(jwks_url, {"authorization": f"Bearer {_token()}"}) == "1234"


def test_a_verified_address_is_the_user(jwks_url: str) -> None:
    token = _token(email="ada@example.com", email_verified=True)
    assert _user(jwks_url, {"authorization": f"Bearer {token}"}) == "ada@example.com"


def test_an_address_that_is_not_verified_is_not_the_user(jwks_url: str) -> None:
    token = _token(email="ada@example.com", email_verified=False)
    assert _user(jwks_url, {"authorization": f"Bearer {token}"}) == "1234"


def test_a_bare_token_in_a_header_of_a_proxy_is_taken(jwks_url: str) -> None:
    header = "X-Goog-IAP-JWT-Assertion"
    assert _user(jwks_url, {header.lower(): _token()}, header) == "1234"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no token"),
        pytest.param({"authorization": "Basic abc"}, id="another scheme"),
        pytest.param({"authorization": "Bearer rubbish"}, id="rubbish"),
        pytest.param({"authorization": f"Bearer {_token(STRANGER)}"}, id="another key"),
        pytest.param({"authorization": f"Bearer {_token(aud='else')}"}, id="another audience"),
        pytest.param({"authorization": f"Bearer {_token(iss='else')}"}, id="another issuer"),
        pytest.param({"authorization": f"Bearer {_token(exp=int(time.time()) - 120)}"}, id="expired"),
        pytest.param({"authorization": f"Bearer {_token(sub='a b/../c')}"}, id="unsafe user id"),
    ],
)
def test_anything_else_is_refused(jwks_url: str, headers: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated):
        _user(jwks_url, headers)
