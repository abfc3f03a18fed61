"""The embedded model over its real socket, with the real weights."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool
from tests.embedded_model.cafe import TOOLS
from tests.embedded_model.conftest import DATA, Served

from pilothouse.errors import ConfigurationError, ModelUnavailable
from pilothouse.models.embedded.catalogue import QWEN_CODER_0_5B
from pilothouse.models.embedded.client import embedded_chat, tool_on_the_wire
from pilothouse.models.embedded.sidecar import EmbeddedModel

ON_THE_WIRE = [{"type": "function", "function": msgspec.to_builtins(tool)} for tool in TOOLS]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
"""The first test may have to fetch the weights; loading them takes seconds."""


def post(
    served: Served, body: dict[str, Any], path: str = "/chat/completions", key: str | None = None
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key or served.model.api_key}"}
    url = served.model.base_url + path
    return httpx.post(url, json=body, headers=headers, timeout=120, trust_env=False)


def ask(served: Served, *messages: dict[str, Any], **body: Any) -> dict[str, Any]:
    response = post(served, {"messages": messages, **body})
    assert response.status_code == 200, response.text
    return response.json()


def user(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_a_tool_call_is_filled_in_from_the_message(served: Served) -> None:
    answer = ask(served, user("bring us 5 large hot chocolates"), tools=ON_THE_WIRE)
    [choice] = answer["choices"]
    [call] = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls"
    assert call["function"]["name"] == "order_drink"
    assert json.loads(call["function"]["arguments"]) == {
        "drink": "hot chocolates",
        "size": "large",
        "cups": 5,
    }
    assert answer["usage"]["completion_tokens"] > 0


def test_an_argument_that_is_not_mentioned_is_left_out(served: Served) -> None:
    answer = ask(served, user("book a table for 3 on monday"), tools=ON_THE_WIRE)
    [call] = answer["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"people": 3, "day": "monday"}


def test_small_talk_calls_no_tool(served: Served) -> None:
    message = ask(served, user("hello there"), tools=ON_THE_WIRE, max_tokens=20)["choices"][0]["message"]
    assert message.get("tool_calls") is None
    assert message["content"]


def test_who_are_you_is_answered_with_fixed_words_that_name_the_tools(served: Served) -> None:
    content = ask(served, user("who are you?"), tools=ON_THE_WIRE)["choices"][0]["message"]["content"]
    assert served.model.label in content
    assert "`reserve_table`" in content


def test_a_tool_s_short_result_is_the_answer_word_for_word(served: Served) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "order_drink", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "c", "content": "5 large hot chocolates come to 23.50."}
    answer = ask(served, user("5 hot chocolates"), {"role": "assistant", "tool_calls": [call]}, result)
    assert answer["choices"][0]["message"]["content"] == "5 large hot chocolates come to 23.50."


def test_a_follow_up_carries_the_other_arguments_over(served: Served) -> None:
    arguments = json.dumps({"people": 3, "day": "monday"})
    call = {"id": "c", "type": "function", "function": {"name": "reserve_table", "arguments": arguments}}
    answer = ask(
        served,
        user("book a table for 3 on monday"),
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "Reserved."},
        {"role": "assistant", "content": "Reserved."},
        user("and on Tuesday?"),
        tools=ON_THE_WIRE,
    )
    [again] = answer["choices"][0]["message"]["tool_calls"]
    assert json.loads(again["function"]["arguments"]) == {"people": 3, "day": "Tuesday"}


def test_a_tool_without_examples_is_withheld_unless_it_is_asked_for(served: Served) -> None:
    bare = {"type": "function", "function": {"name": "ping", "description": "Ping.", "parameters": {}}}
    body = {"messages": [user("ping please")], "tools": [bare], "max_tokens": 10}
    response = post(served, body)
    assert response.headers["x-withheld-tools"] == "ping"
    assert "tool_calls" not in response.json()["choices"][0]["message"]
    forced = post(served, {**body, "tool_choice": {"type": "function", "function": {"name": "ping"}}})
    [call] = forced.json()["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "ping", "arguments": "{}"}


def test_an_answer_streams_in_pieces_with_the_usage_at_the_end(served: Served) -> None:
    body = {
        "messages": [user("Count from 1 to 5.")],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    lines = [line for line in post(served, body).text.splitlines() if line]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert lines[-1] == "data: [DONE]"
    assert chunks[-1]["usage"]["completion_tokens"] > 3
    text = [choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]]
    assert len([piece for piece in text if piece]) > 3
    assert "4" in "".join(text)


def test_the_model_is_listed_and_embeds_sentences(served: Served) -> None:
    headers = {"Authorization": f"Bearer {served.model.api_key}"}
    listed = httpx.get(f"{served.model.base_url}/models", headers=headers, trust_env=False).json()
    assert [entry["id"] for entry in listed["data"]] == [served.model.model]
    embedded = post(served, {"input": ["one", "two"]}, "/embeddings").json()
    assert [len(entry["embedding"]) for entry in embedded["data"]] == [384, 384]


def test_another_key_is_refused(served: Served) -> None:
    assert post(served, {"messages": [user("hi")]}, key="guess").status_code == 401


def test_a_request_that_is_wrong_is_refused_with_the_reason(served: Served) -> None:
    response = post(served, {"messages": []})
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "`messages` is empty."


def drink_tool() -> StructuredTool:
    async def order_drink(drink: str, cups: int) -> str:
        """Order a drink at the bar."""
        return f"{cups} {drink}"

    examples = [
        {"request": f"get me {cups} {drink}", "arguments": {"drink": drink, "cups": cups}}
        for drink, cups in (("teas", 2), ("colas", 4), ("flat whites", 7))
    ]
    return StructuredTool.from_function(coroutine=order_drink, extras={"examples": examples})


def test_the_langchain_model_calls_a_tool_from_its_examples(served: Served) -> None:
    async def call() -> Any:
        model = embedded_chat(served.model).bind_tools([drink_tool()])
        return await model.ainvoke("get me 6 iced teas")

    message = served.run(call)
    assert [(c["name"], c["args"]) for c in message.tool_calls] == [
        ("order_drink", {"drink": "iced teas", "cups": 6})
    ]


def test_the_langchain_model_streams_a_tool_s_result(served: Served) -> None:
    call = {"id": "c", "name": "order_drink", "args": {"drink": "teas", "cups": 2}}
    messages = [
        HumanMessage("2 teas"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("2 teas.", tool_call_id="c"),
    ]

    async def stream() -> str:
        return "".join([str(chunk.content) async for chunk in embedded_chat(served.model).astream(messages)])

    assert served.run(stream) == "2 teas."


def test_examples_stay_off_the_wire_of_other_models() -> None:
    on_ours = tool_on_the_wire(drink_tool())["function"]
    assert len(on_ours["x-examples"]) == 3
    from langchain_core.utils.function_calling import convert_to_openai_tool

    assert "x-examples" not in convert_to_openai_tool(drink_tool())["function"]


def test_a_crashed_child_is_replaced_and_the_address_stays() -> None:
    async def crash() -> tuple[int | None, int | None, int]:
        async with EmbeddedModel(DATA, model=QWEN_CODER_0_5B) as model, asyncio.timeout(120):
            await model.ready()
            first = model.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            headers = {"Authorization": f"Bearer {model.api_key}"}
            async with httpx.AsyncClient(timeout=100, trust_env=False) as client:
                while True:  # a connection that the killed process had taken is lost; the next one waits
                    with contextlib.suppress(httpx.TransportError):
                        response = await client.get(f"{model.base_url}/models", headers=headers)
                        return first, model.pid, response.status_code

    first, second, status = asyncio.run(crash())
    assert status == 200
    assert second not in {None, first}


def test_a_child_that_can_not_start_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 100)

    async def start() -> None:
        async with EmbeddedModel(tmp_path, path=broken) as model:
            await model.ready()

    with pytest.raises(ModelUnavailable, match="broken does not start: "):
        asyncio.run(start())


def test_a_missing_file_is_a_configuration_error_each_time(tmp_path: Path) -> None:
    async def start() -> None:
        async with EmbeddedModel(tmp_path, path=tmp_path / "none.gguf") as model:
            for _ in range(2):
                with pytest.raises(ConfigurationError, match="can't be read"):
                    await model.ready()

    asyncio.run(start())


PARENT = """
import asyncio, sys
from pathlib import Path
from pilothouse.models.embedded.catalogue import QWEN_CODER_0_5B
from pilothouse.models.embedded.sidecar import EmbeddedModel

async def main():
    async with EmbeddedModel(Path(sys.argv[1]), model=QWEN_CODER_0_5B) as model:
        await model.ready()
        print(model.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_the_child_dies_with_its_parent_even_when_that_is_killed(served: Served) -> None:
    assert served.model.pid  # so the weights are there
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(DATA)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait(10)
    deadline = time.monotonic() + 10
    while is_alive(child):
        assert time.monotonic() < deadline, "the child outlives its parent"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
