"""Models that take no key: Vertex AI and services on Cloud Run, by an identity that Google's library finds."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.models.model_providers import KEY, no_embedded_model, open_model

from pilothouse.errors import ModelError, ModelKeyInvalid
from pilothouse.models.credentials import ModelCredentials
from pilothouse.models.endpoints import endpoint_of
from pilothouse.models.id_tokens import IdTokens
from pilothouse.models.names import OpenAI, parse
from pilothouse.models.openai import open_endpoint
from pilothouse.models.opening import open_chat_model
from pilothouse.models.policies import RetryPolicy
from pilothouse.testing.metadata_server import EMAIL, MetadataServer
from pilothouse.testing.model_servers import ModelServer

SERVICE = "https://llm-1234.europe-west1.run.app"


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


class Account:
    """A service account's key file, whose tokens come from a server of the tests."""

    def __init__(self, folder: Path, private_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = folder / "account.json"
        self._private_key = private_key
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(self._file))

    def is_served_by(self, server: MetadataServer) -> None:
        account = {
            "type": "service_account",
            "client_email": EMAIL,
            "private_key": self._private_key,
            "project_id": "test-project",
            "token_uri": server.token_url,
        }
        self._file.write_text(json.dumps(account))


@pytest.fixture
def account(tmp_path: Path, private_key: str, monkeypatch: pytest.MonkeyPatch) -> Account:
    return Account(tmp_path, private_key, monkeypatch)


def vertex(server: ModelServer) -> ModelCredentials:
    return ModelCredentials(
        google_cloud_project="test-project",
        google_cloud_location="europe-west1",
        vertex_base_url=server.gemini_url,
    )


async def ask_vertex(server: ModelServer) -> str:
    name = parse("gemini/gemini-3-test")
    once = RetryPolicy(tries=1)
    async with open_chat_model(name, vertex(server), embedded=no_embedded_model, policy=once) as chat:
        assert chat.label == "gemini-3-test (Vertex AI)"
        return "".join([chunk.text async for chunk in chat.model.astream("Hello")])


def test_vertex_is_asked_with_an_access_token_of_the_default_credentials(account: Account) -> None:
    async def scenario() -> None:
        async with MetadataServer() as identity, ModelServer(keys=[identity.access_token]) as server:
            account.is_served_by(identity)
            server.reply("Hello")
            assert await ask_vertex(server) == "Hello"
            (request,) = server.requests
            assert request.path == (
                "/v1beta1/projects/test-project/locations/europe-west1/publishers/google/models/"
                "gemini-3-test:streamGenerateContent"
            )

    asyncio.run(scenario())


def test_a_key_in_the_environment_does_not_take_the_place_of_the_identity(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "a-key-for-something-else")

    async def scenario() -> None:
        async with MetadataServer() as identity, ModelServer(keys=[identity.access_token]) as server:
            account.is_served_by(identity)
            server.reply("Hello")
            assert await ask_vertex(server) == "Hello"

    asyncio.run(scenario())


def test_the_environment_does_not_turn_a_key_for_gemini_to_vertex(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")

    async def scenario() -> None:
        async with ModelServer() as server, open_model("gemini", server) as model:
            server.reply("Hello")
            assert (await model.ainvoke("Hi")).text == "Hello"
            assert server.requests[0].path == "/v1beta/models/gemini-3-test:generateContent"
            assert server.requests[0].credential == KEY

    asyncio.run(scenario())


def test_a_project_that_refuses_the_identity_is_told_with_the_role_that_it_needs(account: Account) -> None:
    async def scenario() -> None:
        async with MetadataServer() as identity, ModelServer() as server:
            account.is_served_by(identity)
            server.fail(403, "Permission 'aiplatform.endpoints.predict' denied.")
            with pytest.raises(ModelKeyInvalid, match=r"roles/aiplatform\.user") as caught:
                await ask_vertex(server)
            assert "GOOGLE_CLOUD_PROJECT" in str(caught.value)

    asyncio.run(scenario())


def test_without_an_identity_the_message_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))

    async def scenario() -> None:
        async with ModelServer() as server:
            with pytest.raises(ModelKeyInvalid, match="gcloud auth application-default login"):
                await ask_vertex(server)

    asyncio.run(scenario())


def test_a_cloud_run_service_is_asked_with_an_id_token_for_its_url() -> None:
    endpoint = endpoint_of(OpenAI("gemma", f"{SERVICE}/v1"), ModelCredentials(openai_api_key="not-for-them"))
    assert isinstance(endpoint.key, IdTokens)
    assert endpoint.key.audience == SERVICE


def test_an_id_token_is_sent_as_the_bearer_of_every_request(account: Account) -> None:
    async def scenario() -> None:
        async with MetadataServer(life_seconds=200) as identity, ModelServer() as server:
            account.is_served_by(identity)
            endpoint = endpoint_of(OpenAI("gemma", f"{SERVICE}/v1"), ModelCredentials())
            here = msgspec.structs.replace(endpoint, url=server.openai_url)
            async with open_endpoint(here, RetryPolicy(tries=1)) as model:
                for _ in range(2):
                    server.reply("Hello")
                    assert (await model.ainvoke("Hi")).text == "Hello"
            assert [audience(request.credential) for request in server.requests] == [SERVICE, SERVICE]
            assert len(identity.audiences) == 2, "the first had too little life left"

    asyncio.run(scenario())


def audience(id_token: str) -> str:
    claims = id_token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["aud"]


def test_a_cloud_run_service_with_a_key_of_its_own_is_asked_with_that() -> None:
    endpoint = endpoint_of(OpenAI("gemma", f"{SERVICE}/v1"), ModelCredentials(model_api_key="theirs"))
    assert endpoint.key == "theirs"


def test_an_id_token_is_kept_until_five_minutes_before_it_expires(account: Account) -> None:
    async def scenario(life_seconds: int) -> int:
        async with MetadataServer(life_seconds=life_seconds) as identity:
            account.is_served_by(identity)
            tokens = IdTokens(SERVICE)
            for _ in range(2):
                assert audience(await tokens()) == SERVICE
            return len(identity.audiences)

    assert asyncio.run(scenario(3600)) == 1
    assert asyncio.run(scenario(290)) == 2


def test_an_id_token_that_can_not_be_had_fails_the_call_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))

    async def scenario() -> ModelError:
        name = parse(f"openai/gemma@{SERVICE}")
        once = RetryPolicy(tries=1)
        async with open_chat_model(name, ModelCredentials(), embedded=no_embedded_model, policy=once) as chat:
            with pytest.raises(ModelKeyInvalid) as caught:
                await chat.model.ainvoke("Hello")
            return caught.value

    assert "model_api_key" in str(asyncio.run(scenario()))


CHILD = """
import asyncio, sys
from tests.models.model_providers import KEY, no_embedded_model, open_model
from pilothouse.models.credentials import ModelCredentials
from pilothouse.models.id_tokens import IdTokens
from pilothouse.models.names import parse
from pilothouse.models.openai import open_endpoint
from pilothouse.models.opening import open_chat_model

async def main(url, service):
    print(await IdTokens(service)())
    credentials = ModelCredentials(google_cloud_project="test-project", vertex_base_url=url)
    async with open_chat_model(parse("gemini/gemini-3-test"), credentials, embedded=no_embedded_model) as chat:
        print((await chat.model.ainvoke("Hello")).text)

asyncio.run(main(*sys.argv[1:]))
"""


def test_on_google_cloud_both_tokens_come_from_the_metadata_server(repository: Path) -> None:
    async def scenario() -> None:
        async with MetadataServer() as identity, ModelServer(keys=[identity.access_token]) as server:
            server.reply("Hello from Vertex")
            token, answer = await run_child(identity.environment, server.gemini_url, repository)
            assert token.count(".") == 2
            assert identity.audiences == [SERVICE]
            assert answer == "Hello from Vertex"

    asyncio.run(scenario())


async def run_child(environment: Mapping[str, str], url: str, folder: Path) -> list[str]:
    """In a process of its own, since Google's library reads where the metadata server is when it is imported."""
    inherited = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - a child needs the PATH that we have
        if not name.startswith(("GOOGLE_", "GEMINI_", "CLOUDSDK_"))
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CHILD,
        url,
        SERVICE,
        env=inherited | environment | {"HOME": "/nonexistent"},
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(50):
        output, _ = await child.communicate()
    assert child.returncode == 0
    return output.decode().splitlines()
