"""Bad requests, each with its status, its code and its sentence."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
from tests.server.serving import Served

Run = Callable[..., None]
NOBODY = "6ba7b821-9dad-11d1-80b4-00c04fd430c8"

CASES: list[tuple[str, str, Any, int, str, str]] = [
    ("GET", f"/threads/{NOBODY}", None, 404, "not_found", "no thread"),
    ("GET", f"/threads/{NOBODY}/runs", None, 404, "not_found", "no thread"),
    ("GET", f"/threads/{NOBODY}/runs/{NOBODY}/stream", None, 404, "not_found", "no run"),
    ("GET", f"/runs/{NOBODY}/stream", None, 404, "not_found", "no run"),
    ("GET", "/threads/mine", None, 422, "invalid_request", "Invalid thread id 'mine': it must be a UUID."),
    ("GET", f"/threads/{NOBODY}/runs/7", None, 422, "invalid_request", "Invalid run id '7'"),
    ("POST", "/threads", b"{oops", 422, "invalid_request", "line 1, column 2"),
    ("POST", "/threads", {"thread_id": "mine"}, 422, "invalid_request", "it must be a UUID"),
    ("POST", "/threads", {"metdata": {}}, 422, "invalid_request", "unknown field `metdata`"),
    ("POST", "/threads/search", {"limit": 100000}, 422, "invalid_request", "<= 1000"),
    ("POST", "/threads/search", {"select": ["nme"]}, 422, "invalid_request", "Known ones: thread_id"),
    ("POST", f"/threads/{NOBODY}/runs", {}, 422, "invalid_request", "missing required field `assistant_id`"),
    (
        "POST",
        f"/threads/{NOBODY}/runs/stream",
        {"assistant_id": "echo", "stream_mode": "vals"},
        422,
        "invalid_request",
        "Unknown stream mode 'vals'. Known ones: values, messages, messages-tuple, updates",
    ),
    ("PATCH", f"/threads/{NOBODY}", {"ttl": 5}, 422, "invalid_request", "only when it is created"),
    ("POST", "/assistants", {}, 404, "not_supported", "configuration"),
    ("DELETE", "/assistants/echo", None, 404, "not_supported", "configuration"),
    ("GET", "/nowhere", None, 404, "not_found", "no GET /nowhere"),
    ("PUT", "/threads", None, 405, "method_not_allowed", "another method"),
]


def test_each_bad_request_is_refused_with_status_code_and_sentence(run: Run) -> None:
    async def scenario(served: Served) -> None:
        for method, path, body, status, code, sentence in CASES:
            content = (
                {"content": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
            )
            reply = await served.http.request(method, path, **content)
            told = reply.json()
            assert (reply.status_code, told["code"]) == (status, code), (method, path, told)
            assert sentence in told["detail"], (method, path, told)

    run(scenario)


def test_a_body_over_the_limit_is_refused_also_when_its_length_is_not_told(run: Run) -> None:
    async def chunks() -> Any:
        for _ in range(20):
            yield b'"' + b"x" * 998 + b'"'

    async def scenario(served: Served) -> None:
        assert (await served.http.post("/threads", json={"metadata": {"x": "y" * 9000}})).status_code == 200
        for body in (b'{"metadata":{"x":"' + b"y" * 30_000 + b'"}}', chunks()):
            reply = await served.http.post("/threads", content=body)
            told = (reply.status_code, reply.json()["code"], reply.json()["detail"])
            assert told == (413, "payload_too_large", "The body is over the limit of 10000 bytes: send less.")

    run(scenario, PILOTHOUSE_MAX_BODY_BYTES="10000")


def test_a_last_event_id_of_another_server_is_refused(run: Run) -> None:
    async def scenario(served: Served) -> None:
        thread = await served.thread()
        started = await served.sdk.runs.create(thread, "echo", input={"messages": []})
        path = f"/threads/{thread}/runs/{started['run_id']}/stream"

        reply = await served.http.get(path, headers={"last-event-id": "1700000000000-0"})

        assert reply.status_code == 422
        assert "send the last `id` that you received" in reply.json()["detail"]

    run(scenario)


def test_a_client_that_leaves_while_it_sends_harms_nobody(run: Run) -> None:
    async def scenario(served: Served) -> None:
        url = httpx.URL(served.url)
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"POST /threads HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
        await writer.drain()
        writer.transport.abort()

        assert (await served.http.post("/threads", json={"thread_id": str(uuid4())})).status_code == 200

    run(scenario)
