import pytest

from pilothouse.errors import InvalidRequest
from pilothouse.events import Offset
from pilothouse.wire import decoding
from pilothouse.wire.items import ItemGet
from pilothouse.wire.runs import JoinOptions, RunCreate, RunList
from pilothouse.wire.threads import ThreadCreate, ThreadSearch


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"metadata": {"a" 1}}', "expected ':' at line 1, column 19"),
        (b'{\n  "metadata": {},\n  oops\n}', "line 3, column 3"),
        ('{"metadata": {"ä": oops}}'.encode(), "invalid character at line 1, column 20"),
        (b'{"metadata": {"a": 1}', "it ends too early at line 1, column 22"),
        (b'{"metadata": {}} x', "trailing characters at line 1"),
    ],
)
def test_malformed_json_is_refused_with_the_place_where_it_breaks(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match="not valid JSON") as refused:
        decoding.decode_body(body, ThreadCreate)

    assert message in str(refused.value)


def test_bytes_that_are_not_utf8_are_refused_even_where_they_are_passed_on() -> None:
    with pytest.raises(InvalidRequest, match="not UTF-8: see byte 31"):
        decoding.decode_body(b'{"assistant_id":"a","input":{"x\xff":1}}', RunCreate)


def test_a_field_of_the_wrong_type_is_refused_with_its_path() -> None:
    with pytest.raises(InvalidRequest, match=r"expected `int \| null`, got `str` at `\$.limit`"):
        decoding.decode_body(b'{"limit": "ten"}', ThreadSearch)


def test_an_unknown_field_of_a_search_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="unknown field `metdata`"):
        decoding.decode_body(b'{"metdata": {"owner": "me"}}', ThreadSearch)


def test_unknown_fields_of_a_run_are_ignored() -> None:
    body = decoding.decode_body(b'{"assistant_id": "a", "langsmith_tracer": {}, "new_in_2027": 1}', RunCreate)

    assert body.assistant_id == "a"


def test_an_empty_body_is_an_empty_object() -> None:
    assert decoding.decode_body(b"", ThreadCreate) == ThreadCreate()


def test_a_query_is_read_as_its_types_and_unknown_names_are_ignored() -> None:
    pairs = [("limit", "3"), ("status", "success"), ("select", "run_id"), ("select", "status"), ("x", "1")]

    assert decoding.decode_query(pairs, RunList) == RunList(
        limit=3, status="success", select=["run_id", "status"]
    )


def test_a_list_in_a_query_may_be_a_json_array() -> None:
    pairs = [("select", '["run_id","status"]')]

    assert decoding.decode_query(pairs, RunList).select == ["run_id", "status"]


@pytest.mark.parametrize("value", ["1", "true", "True"])
def test_a_flag_in_a_query_is_read_in_the_forms_of_both_sdks(value: str) -> None:
    assert decoding.decode_query([("cancel_on_disconnect", value)], JoinOptions).cancel_on_disconnect


def test_a_query_that_is_wrong_is_refused_with_its_name() -> None:
    with pytest.raises(InvalidRequest, match=r"query is not valid: .* at `\$.limit`"):
        decoding.decode_query([("limit", "many")], RunList)
    with pytest.raises(InvalidRequest, match="missing required field `key`"):
        decoding.decode_query([("namespace", "a.b")], ItemGet)


def test_ids_are_uuids_in_any_form_and_come_out_canonical() -> None:
    canonical = "6ba7b821-9dad-11d1-80b4-00c04fd430c8"

    assert decoding.thread_id(canonical) == canonical
    assert decoding.thread_id(canonical.upper().replace("-", "")) == canonical
    with pytest.raises(InvalidRequest, match="Invalid thread id 'mine': it must be a UUID"):
        decoding.thread_id("mine")


@pytest.mark.parametrize(("header", "offset"), [(None, 0), ("", 0), ("-1", 0), ("0", 0), ("17", 17)])
def test_last_event_id_says_where_to_go_on(header: str | None, offset: int) -> None:
    assert decoding.resume_after(header) == Offset(offset)


@pytest.mark.parametrize("header", ["abc", "1700000000000-3", "-2", "²", "1 "])
def test_a_last_event_id_of_another_stream_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest, match="Last-Event-ID"):
        decoding.resume_after(header)
