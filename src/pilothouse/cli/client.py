"""The API of a server, as the terminal uses it. Of the standard library alone: the first word appears at once."""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import msgspec

from pilothouse.errors import ConfigurationError, PilothouseError

CALL_SECONDS = 30
SILENCE_SECONDS = 45
"""Three heartbeats of the server: a stream that says nothing for so long is broken."""


class Unreachable(PilothouseError):
    """The server does not answer."""

    code = "unreachable"
    retryable = True


class Refused(PilothouseError):
    """The server answered that it can't do that; the message is its own."""

    code = "refused"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Agent(msgspec.Struct, frozen=True):
    """An agent that is served."""

    agent_id: str
    model: str | None
    notice: str | None
    problem: str | None


class _Info(msgspec.Struct):
    agents: Sequence[Agent]


class Reply:
    """What a server answers to one request, to be read as it comes."""

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response

    @property
    def run_id(self) -> str | None:
        """The run that is streamed."""
        found = re.search(r"/runs/([^/?]+)", self._response.headers.get("content-location", ""))
        return found[1] if found else None

    def read(self) -> bytes:
        return self._response.read()

    def lines(self) -> Iterator[bytes]:
        """Until the connection ends, in whatever way."""
        try:
            while line := self._response.readline():
                yield line
        except (OSError, HTTPException):
            return


class Client:
    """One server. Its methods raise `Refused` and `Unreachable`."""

    def __init__(self, url: str) -> None:
        """Raises `ConfigurationError` for what is no address of a server."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            self._port = parts.port
        except ValueError:
            raise ConfigurationError(f"{url} has no valid port.") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"{url} is not the URL of a server: write http://HOST:PORT.")
        self.url = parts.geturl().rstrip("/")
        self._host = parts.hostname
        self._path = parts.path.rstrip("/")
        self._connection = HTTPSConnection if parts.scheme == "https" else HTTPConnection

    def agents(self, timeout: float = CALL_SECONDS) -> Sequence[Agent]:
        """Those that are served, the default first. Raises `Refused` too if what answers is no Pilothouse."""
        try:
            return msgspec.convert(self.call("GET", "/info", timeout=timeout), _Info).agents
        except msgspec.ValidationError as error:
            raise self._not_ours() from error

    def call(self, method: str, path: str, body: object = None, *, timeout: float = CALL_SECONDS) -> Any:
        """The JSON of the reply, None where it has no body."""
        with self.open(method, path, body, timeout=timeout) as reply:
            try:
                content = reply.read()
                return msgspec.json.decode(content) if content else None
            except msgspec.DecodeError as error:
                raise self._not_ours() from error
            except (OSError, HTTPException) as error:
                raise self._unreachable(error) from error

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = CALL_SECONDS,
    ) -> Generator[Reply]:
        connection = self._connection(self._host, self._port, timeout=timeout)
        try:
            yield self._request(connection, method, path, body, headers or {})
        finally:
            connection.close()

    def _request(
        self, connection: HTTPConnection, method: str, path: str, body: object, headers: Mapping[str, str]
    ) -> Reply:
        content = None if body is None else msgspec.json.encode(body)
        try:
            connection.request(
                method, self._path + path, content, {"content-type": "application/json", **headers}
            )
            response = connection.getresponse()
            if response.status >= 300:
                raise Refused(
                    _detail(response.read()) or f"{self.url} answered {response.status}.", response.status
                )
        except (OSError, HTTPException) as error:
            raise self._unreachable(error) from error
        return Reply(response)

    def _not_ours(self) -> Refused:
        return Refused(f"What answers at {self.url} is not Pilothouse.", 200)

    def _unreachable(self, error: Exception) -> Unreachable:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Unreachable(f"The server at {self.url} can't be reached ({reason}).")


def _detail(content: bytes) -> str | None:
    try:
        return str(msgspec.json.decode(content)["detail"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return None
