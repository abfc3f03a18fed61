"""While a run says nothing, its connections are kept alive; what comes then is not changed by it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from pilothouse.errors import NotFound, StoreUnavailable
from pilothouse.events import Json, Offset, Record, RunEnded, RunId, StateValues
from pilothouse.server.streams import event_chunks, result_chunks
from pilothouse.wire.streaming_v1 import StreamEncoder

VALUES = Record(Offset(1), StateValues(Json(b'{"n":1}')))
END = Record(Offset(2), RunEnded("success"))


async def batches(*given: Sequence[Record] | Exception) -> AsyncGenerator[Sequence[Record], None]:
    for batch in given:
        if isinstance(batch, Exception):
            raise batch
        yield batch


def streamed(*given: Sequence[Record] | Exception) -> list[bytes]:
    async def read() -> list[bytes]:
        encoder = StreamEncoder(RunId("r"), ["values"])
        return [chunk async for chunk in event_chunks(batches(*given), encoder)]

    return asyncio.run(read())


def waited(*given: Sequence[Record] | Exception) -> list[bytes]:
    async def thread_values() -> bytes:
        return b'{"of":"thread"}'

    async def read() -> list[bytes]:
        return [chunk async for chunk in result_chunks(batches(*given), thread_values)]

    return asyncio.run(read())


def test_a_quiet_stream_sends_comments() -> None:
    chunks = streamed((), [VALUES], (), [END])

    assert chunks[0] == chunks[2] == b": heartbeat\n\n"
    assert chunks[1].startswith(b"retry: 250\nevent: values\n")
    assert chunks[3].startswith(b"event: end\n")


def test_records_that_come_together_are_sent_together() -> None:
    assert len(streamed([VALUES, END])) == 1


def test_a_client_that_waits_gets_line_breaks_before_its_json() -> None:
    assert waited((), (), [VALUES, END]) == [b"\n", b"\n", b'{"n":1}']


def test_the_threads_values_stand_in_where_the_log_has_none() -> None:
    assert waited([END]) == [b'{"of":"thread"}']


def test_a_run_that_goes_while_it_is_followed_is_told_as_an_error() -> None:
    *_, last = streamed([VALUES], NotFound("There is no run r."))

    assert last == b'event: error\ndata: {"error":"not_found","message":"There is no run r."}\n\n'


def test_a_run_that_goes_while_it_is_waited_for_came_to_an_error() -> None:
    told = b'{"__error__":{"error":"not_found","message":"There is no run r."}}'

    assert waited([VALUES], NotFound("There is no run r.")) == [told]


def test_trouble_of_the_server_is_no_end_of_the_run() -> None:
    with pytest.raises(StoreUnavailable):
        streamed([VALUES], StoreUnavailable())
