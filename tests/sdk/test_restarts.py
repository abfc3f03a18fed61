"""A server that goes away and comes back while an SDK streams."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_client
from tests.processes import serving
from tests.sdk.parts import contents, datas, parts_of
from tests.server.serving import says

PROJECT = Path(__file__).parent / "project"
WORDS = [f"word{n}" for n in range(15)]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_stream_goes_on_after_the_server_was_killed_and_started_again(
    tmp_path: Path, free_port: int
) -> None:
    async def scenario() -> list[Any]:
        async with (
            asyncio.timeout(100),
            get_client(url=f"http://127.0.0.1:{free_port}", api_key=None) as sdk,
        ):
            with serving(PROJECT, port=free_port, data=tmp_path / "data") as first:
                thread = (await sdk.threads.create())["thread_id"]
                stream = sdk.runs.stream(
                    thread,
                    "talker",
                    input=says(" ".join(WORDS)),
                    config={"configurable": {"pause": 0.1}},
                    stream_mode=["messages-tuple", "values"],
                )
                parts: list[Any] = []
                async for part in stream:
                    parts.append(part)
                    if part.event == "messages":
                        break
                first.kill()
            with serving(PROJECT, port=free_port, data=tmp_path / "data"):
                return parts + await parts_of(stream)

    parts = asyncio.run(scenario())

    assert [part.id for part in parts] == sorted({part.id for part in parts}, key=int)
    assert [data["attempt"] for data in datas(parts, "metadata")] == [1, 2]
    assert contents(datas(parts, "values")[-1])[-1] == " ".join(WORDS)
    assert parts[-1].data["status"] == "success"
