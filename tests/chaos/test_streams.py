"""Many clients on one instance at once."""

import asyncio

import pytest
from bench.streams import MEMORY_TARGET_KB, measure_idle, server

CLIENTS = 500


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_five_hundred_idle_streams_stay_open_and_hold_little_memory() -> None:
    with server() as (process, port):
        idle = asyncio.run(measure_idle(process, port, CLIENTS, hold=False))
    print(f"{idle.kb_each:.1f} KB a stream")
    assert idle.alive == CLIENTS
    assert idle.kb_each < MEMORY_TARGET_KB
