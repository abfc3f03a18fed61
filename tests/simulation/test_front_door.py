"""How requests and replies pass the front door."""

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from tests.simulation.conftest import Service, Simulate
from websockets.asyncio.client import connect

SHORT = timedelta(seconds=0.5)


@asynccontextmanager
async def raw(served: Service) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the front door, for what HTTP clients do not show."""
    url = urlsplit(served.run.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def test_the_instance_learns_who_calls_and_where_it_runs(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        about = await served.about(headers={"x-forwarded-for": "203.0.113.7"})
        headers = dict(about["headers"])
        assert headers["x-forwarded-for"] == "203.0.113.7, 127.0.0.1"
        assert headers["x-forwarded-proto"] == "http"
        assert headers["host"] == urlsplit(served.run.url).netloc
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", headers["traceparent"])
        assert about["cloud_run"] == {
            "K_SERVICE": "simulation",
            "K_CONFIGURATION": "simulation",
            "K_REVISION": "simulation-00001",
        }

    simulate(scenario, least=1)


def test_a_callers_own_trace_is_kept(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        trace = f"00-{'a' * 32}-{'b' * 16}-00"
        about = await served.about(headers={"traceparent": trace})
        assert [value for name, value in about["headers"] if name == "traceparent"] == [trace]

    simulate(scenario, least=1)


def test_both_bodies_pass_piece_by_piece(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        async with raw(served) as (reader, writer):
            writer.write(b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(b"3\r\none\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            assert await reader.readuntil(b"one\r\n") == b"3\r\none\r\n"
            writer.write(b"3\r\ntwo\r\n")
            assert await reader.readuntil(b"two\r\n") == b"3\r\ntwo\r\n"
            writer.write(b"0\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"0\r\n\r\n"

    simulate(scenario, least=1)


def test_big_bodies_arrive_whole(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        sent = os.urandom(10_000_000)
        reply = await served.http.post("/echo", content=sent)
        assert hashlib.sha256(reply.content).digest() == hashlib.sha256(sent).digest()

    simulate(scenario, least=1)


def test_a_connection_is_used_for_one_request_after_the_other(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        async with raw(served) as (reader, writer):

            async def ask(request: str, body: bytes = b"") -> bytes:
                writer.write(f"{request} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode())
                writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
                head = await reader.readuntil(b"\r\n\r\n")
                assert b"connection: keep-alive" in head
                return head

            assert b"200 OK" in await ask("HEAD /ok")
            assert b"204 No Content" in await ask("GET /no-content")
            assert b"chunked" in await ask("POST /echo", b"hello")
            assert await reader.readuntil(b"0\r\n\r\n") == b"5\r\nhello\r\n0\r\n\r\n"
            assert b"404 Not Found" in await ask("GET /nowhere")
            await reader.readuntil(b"Not Found")
            assert b"200 OK" in await ask("GET /ok")

    simulate(scenario, least=1)


def test_web_sockets_pass(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        url = served.run.url.replace("http", "ws", 1)
        async with connect(f"{url}/socket") as socket:
            for text in ("one", "two" * 100_000):
                await socket.send(text)
                assert await socket.recv() == f"{served.run.ready[0].pid} {text}"
            assert served.run.ready[0].in_flight == 1

    simulate(scenario, least=1)


@pytest.mark.parametrize(
    "request_text",
    [
        "GET /ok HTTP/1.0\r\n",
        "GET /ok\r\n",
        "POST /echo HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "POST /echo HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "POST /echo HTTP/1.1\r\nContent-Length: -5\r\n",
        "GET /ok HTTP/1.1\r\nno colon\r\n",
        f"GET /ok HTTP/1.1\r\nBig: {'x' * 70_000}\r\n",
    ],
    ids=["HTTP/1.0", "no version", "two framings", "two lengths", "below zero", "no colon", "too big"],
)
def test_what_is_no_good_request_is_refused(simulate: Simulate, request_text: str) -> None:
    async def scenario(served: Service) -> None:
        async with raw(served) as (reader, writer):
            writer.write(f"{request_text}\r\n".encode())
            assert (await reader.read()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert not served.run.events.past

    simulate(scenario, least=0)


def test_a_client_that_goes_away_ends_its_request_at_the_instance(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        request, gate = await served.held()
        request.cancel()
        await gate.left.wait()
        assert not served.run.ready[0].in_flight

    simulate(scenario, least=1)


def test_a_request_that_takes_too_long_is_answered_504_and_its_instance_goes_on(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        request, gate = await served.held()
        reply = await request
        assert reply.status_code == 504
        assert reply.text == "The request timeout is over.\n"
        await gate.left.wait()
        assert (await served.about())["pid"] == served.run.ready[0].pid

    simulate(scenario, least=1, timeout=SHORT)


def test_a_reply_that_takes_too_long_is_cut_off(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        gate = await served.gate()
        with pytest.raises(httpx.RemoteProtocolError):
            await served.http.get("/stream", params={"gate": gate.path})
        assert gate.reached.is_set()

    simulate(scenario, least=1, timeout=SHORT)


def test_a_request_is_answered_503_when_its_instance_dies_and_a_reply_cut_off(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        request, _ = await served.held()
        gate = await served.gate()
        streaming = served.http.stream("GET", "/stream", params={"gate": gate.path})
        async with streaming as streamed:
            pieces = streamed.aiter_text()
            assert await anext(pieces) == "one "
            await served.run.kill(served.run.ready[0])
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await anext(pieces)
        reply = await request
        assert reply.status_code == 503
        assert reply.text == "The instance ended before it answered.\n"

    simulate(scenario, least=1)


def test_connections_to_an_instance_can_be_cut_while_it_goes_on(simulate: Simulate) -> None:
    async def scenario(served: Service) -> None:
        instance = served.run.ready[0]
        request, _ = await served.held()
        served.run.cut(instance)
        assert (await request).status_code == 503
        assert (await served.about())["pid"] == instance.pid

    simulate(scenario, least=1)


@pytest.mark.parametrize("size", ["not a size", "-5", "0x5", ""])
def test_a_body_that_is_malformed_ends_the_request(simulate: Simulate, size: str) -> None:
    async def scenario(served: Service) -> None:
        gate = await served.gate()
        async with raw(served) as (reader, writer):
            writer.write(f"POST /hold?gate={gate.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode())
            writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
            await gate.reached.wait()
            writer.write(f"{size}\r\n".encode())
            assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
            await gate.left.wait()

    simulate(scenario, least=1)
