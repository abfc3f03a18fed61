import msgspec

from pilothouse.events import Json
from pilothouse.ports.runs import RunInput
from pilothouse.stores.runs.records import request_from


def test_a_request_comes_back_from_the_store_as_it_was_written() -> None:
    request = RunInput(
        input=Json(b'{"messages":[{"role":"user","content":"hi"}]}'),
        config=Json(b'{"configurable":{"a":1}}'),
        stream_modes=("messages-tuple", "values"),
        interrupt_before="*",
        durability="exit",
    )

    assert request_from(msgspec.json.encode(request)) == request


def test_a_request_without_input_comes_back_without_one() -> None:
    assert request_from(msgspec.json.encode(RunInput(command=Json(b'{"resume":true}')))) == RunInput(
        command=Json(b'{"resume":true}')
    )
