import pytest

from pilothouse.errors import InvalidRequest
from pilothouse.wire.stream_modes import joined_stream_modes, stream_modes


@pytest.mark.parametrize("names", [None, "", []])
def test_without_a_stream_mode_values_are_streamed(names: str | list[str] | None) -> None:
    assert stream_modes(names) == ("values",)


def test_a_stream_mode_may_be_one_name_or_a_list() -> None:
    assert stream_modes("updates") == ("updates",)
    assert stream_modes(["messages-tuple", "values", "values"]) == ("messages-tuple", "values")


def test_an_unknown_stream_mode_is_refused_with_the_list_of_known_ones() -> None:
    with pytest.raises(InvalidRequest, match=r"'vales'.*values, messages, messages-tuple, updates, events"):
        stream_modes(["vales"])


@pytest.mark.parametrize(
    "values",
    [["values", "messages-tuple"], ['["values","messages-tuple"]'], ["values,messages-tuple"]],
    ids=["repeated", "JSON array", "commas"],
)
def test_a_query_may_give_stream_modes_in_each_form_that_clients_use(values: list[str]) -> None:
    assert joined_stream_modes(values) == ("values", "messages-tuple")


def test_a_query_may_name_no_stream_mode() -> None:
    assert joined_stream_modes([]) is None
    assert joined_stream_modes([""]) is None


def test_a_broken_json_array_of_stream_modes_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="not a JSON array"):
        joined_stream_modes(['["values"'])
