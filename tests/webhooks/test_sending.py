"""One attempt at a delivery, over real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.responses import RedirectResponse
from tests.webhooks.certificates import contexts
from tests.webhooks.receivers import KEY, Receiver, never

from pilothouse.errors import InvalidRequest
from pilothouse.webhooks.addresses import WebhookAddresses, WebhookFailed, WebhookRefused
from pilothouse.webhooks.sending import Sender


def sender_to(*hosts: str, deadline: float = 5) -> Sender:
    return Sender(WebhookAddresses(hosts), [KEY], timedelta(seconds=deadline))


def test_a_message_arrives_signed_with_its_path_and_its_host(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Receiver() as receiver:
            await sender_to(receiver.host).send(receiver.url, "msg_1", b'{"a":1}')
            [message] = receiver.messages
            assert message.verified() == {"a": 1}
            told = (message.id, message.headers["host"], message.headers["content-type"])
            assert told == ("msg_1", receiver.host, "application/json")
            assert message.headers["user-agent"].startswith("pilothouse/")

    asyncio.run(main())


def test_a_redirect_is_not_followed() -> None:
    async def main() -> None:
        async with Receiver() as private, Receiver(RedirectResponse(private.url)) as receiver:
            with pytest.raises(WebhookFailed, match="answered 307"):
                await sender_to(receiver.host).send(receiver.url, "msg_1", b"{}")
            assert not private.messages

    asyncio.run(main())


@pytest.mark.parametrize("status", [300, 400, 404, 429, 500, 503])
def test_any_answer_but_success_is_a_failure(status: int) -> None:
    async def main() -> None:
        async with Receiver(status) as receiver:
            with pytest.raises(WebhookFailed, match=f"answered {status}"):
                await sender_to(receiver.host).send(receiver.url, "msg_1", b"{}")

    asyncio.run(main())


def test_a_receiver_that_is_gone_wants_no_more() -> None:
    async def main() -> None:
        async with Receiver(410) as receiver:
            with pytest.raises(WebhookRefused, match="wants no more"):
                await sender_to(receiver.host).send(receiver.url, "msg_1", b"{}")

    asyncio.run(main())


def test_a_receiver_that_hangs_is_given_up_at_the_deadline() -> None:
    async def main() -> None:
        async with Receiver(never) as receiver:
            with pytest.raises(WebhookFailed, match=r"did not answer within 0\.3 s"):
                await sender_to(receiver.host, deadline=0.3).send(receiver.url, "msg_1", b"{}")

    asyncio.run(main())


def test_an_answer_without_end_is_not_read() -> None:
    async def main() -> None:
        cut_off = asyncio.Event()

        async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with suppress(ConnectionError):
                while True:
                    writer.write(bytes(65536))
                    await writer.drain()
            cut_off.set()

        async with asyncio.timeout(5), await asyncio.start_server(pour, "127.0.0.1") as server:
            port = server.sockets[0].getsockname()[1]
            await sender_to("127.0.0.1").send(f"http://127.0.0.1:{port}", "msg_1", b"{}")
            await cut_off.wait()

    asyncio.run(main())


def test_nobody_there_is_a_failure(free_port: int) -> None:
    with pytest.raises(WebhookFailed, match="can't be reached"):
        asyncio.run(sender_to("127.0.0.1").send(f"http://127.0.0.1:{free_port}", "msg_1", b"{}"))


def test_what_is_not_http_is_a_failure() -> None:
    async def main() -> None:
        async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example ESMTP\r\n")
            writer.close()

        async with await asyncio.start_server(babble, "127.0.0.1") as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(WebhookFailed, match="broke off"):
                await sender_to("127.0.0.1").send(f"http://127.0.0.1:{port}", "msg_1", b"{}")

    asyncio.run(main())


def test_a_private_host_is_refused_when_the_settings_do_not_name_it_any_more() -> None:
    async def main() -> None:
        async with Receiver() as receiver:
            with pytest.raises(WebhookRefused, match="https"):
                await sender_to("elsewhere").send(receiver.url, "msg_1", b"{}")
            assert not receiver.messages

    asyncio.run(main())


def test_a_server_without_a_secret_sends_nothing() -> None:
    sender = Sender(WebhookAddresses(["127.0.0.1"]), [])
    with pytest.raises(InvalidRequest, match="set webhook_secret"):
        sender.check("http://127.0.0.1:1/")


@asynccontextmanager
async def tls_receiver(context: ssl.SSLContext) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Its port, and the heads that it got."""
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", ssl=context) as server:
        yield server.sockets[0].getsockname()[1], heads


class Names:
    """A resolver in whose answers the addresses change from one to the next."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked: list[str] = []
        self._answers = answers

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._answers[len(self.asked) - 1]


def test_the_connection_goes_to_the_address_that_was_checked_and_to_the_name_of_the_url(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        server, client = contexts("hooks.example", tmp_path)
        async with tls_receiver(server) as (port, heads):
            names = Names(["127.0.0.1"])
            addresses = WebhookAddresses([f"hooks.example:{port}"], names)
            sender = Sender(addresses, [KEY], tls=client)
            await sender.send(f"https://hooks.example:{port}/hook", "msg_1", b"{}")
            assert names.asked == ["hooks.example"]
            assert heads[0].startswith(b"POST /hook HTTP/1.1\r\n")
            assert f"host: hooks.example:{port}\r\n".encode() in heads[0].lower()

            other = Sender(WebhookAddresses(["other.example"], Names(["127.0.0.1"])), [KEY], tls=client)
            with pytest.raises(WebhookFailed, match=r"can.t be reached.*certificate"):
                await other.send(f"https://other.example:{port}/hook", "msg_2", b"{}")
            assert len(heads) == 1

    asyncio.run(main())


def test_a_name_that_turns_private_is_not_called(tmp_path: Path) -> None:
    async def main() -> None:
        server, client = contexts("hooks.example", tmp_path)
        async with tls_receiver(server) as (port, heads):
            sender = Sender(WebhookAddresses(resolve=Names(["127.0.0.1"])), [KEY], tls=client)
            sender.check(f"https://hooks.example:{port}/hook")
            with pytest.raises(WebhookRefused, match="not public"):
                await sender.send(f"https://hooks.example:{port}/hook", "msg_1", b"{}")
            assert not heads

    asyncio.run(main())


def test_where_one_address_does_not_answer_the_next_is_tried() -> None:
    async def main() -> None:
        async with Receiver() as receiver:
            names = Names(["127.0.0.2", "127.0.0.1"])
            sender = Sender(WebhookAddresses(["hooks.example"], names), [KEY])
            await sender.send(f"http://hooks.example:{receiver.port}/", "msg_1", b"{}")
            assert len(receiver.messages) == 1

    asyncio.run(main())
