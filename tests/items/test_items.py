"""What every item store does: the contract of `ports.items`."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilothouse.errors import InvalidRequest
from pilothouse.ports.items import Item, ItemQuery, Items
from pilothouse.ports.principals import Principal

from .conftest import RunWithItems

NOTES = ("users", "notes")


def keys(items: Sequence[Item]) -> list[str]:
    return [item.key for item in items]


async def put_all(items: Items, principal: Principal, values: Mapping[str, Mapping[str, object]]) -> None:
    for key, value in values.items():
        await items.put(principal, NOTES, key, value)


def test_an_item_comes_back_as_it_was_put(run: RunWithItems, ana: Principal) -> None:
    value = {
        "text": 'Grüße, "quoted" \\ and ✓ 🚢',
        "numbers": [0, -1, 1.5, 2**53 + 1, 1e-7],
        "nested": {"empty": {}, "none": None, "yes": True, "": "an empty name"},
    }

    async def scenario(items: Items) -> None:
        put = await items.put(ana, NOTES, "one", value)
        assert put == await items.get(ana, NOTES, "one")
        assert (put.namespace, put.key, put.value) == (NOTES, "one", value)
        assert put.created_at_ms == put.updated_at_ms > 1_700_000_000_000

    run(scenario)


def test_there_is_nothing_where_nothing_was_put(run: RunWithItems, ana: Principal) -> None:
    async def scenario(items: Items) -> None:
        assert await items.get(ana, NOTES, "missing") is None
        assert await items.search(ana, ItemQuery()) == []
        assert await items.namespaces(ana) == []

    run(scenario)


def test_a_replaced_item_keeps_the_time_it_was_created(run: RunWithItems, ana: Principal) -> None:
    async def scenario(items: Items) -> None:
        first = await items.put(ana, NOTES, "one", {"n": 1, "gone": True})
        await asyncio.sleep(0.005)  # times are in milliseconds
        second = await items.put(ana, NOTES, "one", {"n": 2})
        assert second.value == {"n": 2}
        assert second.created_at_ms == first.created_at_ms < second.updated_at_ms

    run(scenario)


def test_a_deleted_item_is_gone_and_may_be_deleted_again(run: RunWithItems, ana: Principal) -> None:
    async def scenario(items: Items) -> None:
        await put_all(items, ana, {"one": {}, "two": {}})
        await items.delete(ana, NOTES, "one")
        await items.delete(ana, NOTES, "one")
        assert keys(await items.search(ana, ItemQuery())) == ["two"]

    run(scenario)


def test_users_do_not_see_each_other_under_the_same_name(
    run: RunWithItems, ana: Principal, ben: Principal
) -> None:
    async def scenario(items: Items) -> None:
        await items.put(ana, NOTES, "one", {"of": "ana"})
        await items.put(ben, NOTES, "one", {"of": "ben"})
        await items.put(ben, ("private",), "two", {})
        await items.delete(ben, NOTES, "one")
        mine = await items.get(ana, NOTES, "one")
        assert mine
        assert mine.value == {"of": "ana"}
        assert await items.get(ben, NOTES, "one") is None
        assert await items.get(ana, ("private",), "two") is None
        assert keys(await items.search(ana, ItemQuery())) == ["one"]
        assert await items.namespaces(ana) == [NOTES]

    run(scenario)


def test_concurrent_puts_of_one_item_leave_one_of_them(run: RunWithItems, ana: Principal) -> None:
    async def scenario(items: Items) -> None:
        async with asyncio.TaskGroup() as tasks:
            puts = [tasks.create_task(items.put(ana, NOTES, "one", {"n": n})) for n in range(30)]
        assert len({put.result().created_at_ms for put in puts}) == 1
        found = await items.search(ana, ItemQuery(limit=50))
        assert [item.value["n"] in range(30) for item in found] == [True]

    run(scenario)


def test_a_search_gives_the_newest_update_first_page_by_page(run: RunWithItems, ana: Principal) -> None:
    async def scenario(items: Items) -> None:
        await put_all(items, ana, {name: {} for name in "abcde"})
        await items.put(ana, NOTES, "b", {"changed": True})
        order = ["b", "e", "d", "c", "a"]
        assert keys(await items.search(ana, ItemQuery())) == order
        assert keys(await items.search(ana, ItemQuery(limit=2))) == order[:2]
        assert keys(await items.search(ana, ItemQuery(limit=2, offset=4))) == order[4:]
        assert await items.search(ana, ItemQuery(limit=0)) == []

    run(scenario)


def test_a_search_looks_below_a_namespace_label_by_label(run: RunWithItems, ana: Principal) -> None:
    places = [("a",), ("a", "b"), ("a", "b", "c"), ("ab",), ("a\x01",), ("a", "bc"), ("b", "a"), ("*",)]

    async def scenario(items: Items) -> None:
        for place in places:
            await items.put(ana, place, "k", {})
        for prefix in [(), ("a",), ("a", "b"), ("b",), ("*",), ("c",), ("a", "b", "c", "d")]:
            found = await items.search(ana, ItemQuery(namespace_prefix=prefix))
            expected = {place for place in places if place[: len(prefix)] == prefix}
            assert {item.namespace for item in found} == expected

    run(scenario)


VALUES: dict[str, dict[str, object]] = {
    "one": {"n": 1, "s": "apple", "tags": ["x", "y"], "nested": {"a": 1}, "flag": True},
    "two": {"n": 2.0, "s": "Banana", "tags": ["y", "x"], "nested": {"a": 1, "b": 2}, "flag": False},
    "ten": {"n": 10, "s": "éclair", "flag": None},
    "text": {"n": "2", "s": "10"},
    "bare": {},
}


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({}, {"one", "two", "ten", "text", "bare"}),
        ({"n": 2}, {"two"}),
        ({"n": "2"}, {"text"}),
        ({"n": {"$eq": 10}}, {"ten"}),
        ({"n": {"$ne": 10}}, {"one", "two", "text", "bare"}),
        ({"n": {"$gt": 1}}, {"two", "ten"}),
        ({"n": {"$gte": 1, "$lt": 10}}, {"one", "two"}),
        ({"n": {"$lte": 2}}, {"one", "two"}),
        ({"n": {"$gt": 1}, "s": "éclair"}, {"ten"}),
        ({"s": {"$lt": "apple"}}, {"two", "text"}),
        ({"s": {"$gte": "apple"}}, {"one", "ten"}),
        ({"flag": True}, {"one"}),
        ({"flag": None}, {"ten"}),
        ({"tags": ["x", "y"]}, {"one"}),
        ({"nested": {"a": 1}}, {"one"}),
        ({"missing": 1}, set()),
        ({"s": "' OR 1=1 --"}, set()),
        ({"n') IS NULL OR ('": 1}, set()),
    ],
)
def test_a_filter_finds_the_values_that_have_every_pair(
    run: RunWithItems, ana: Principal, filter_: dict[str, Any], expected: set[str]
) -> None:
    async def scenario(items: Items) -> None:
        await put_all(items, ana, VALUES)
        assert set(keys(await items.search(ana, ItemQuery(filter=filter_)))) == expected

    run(scenario)


@pytest.mark.parametrize(
    ("filter_", "message"),
    [
        ({"n": {"$regex": "a"}}, "'n' has the operator '$regex'; there are $eq, $ne, $gt"),
        ({"n": {"$gt": 1, "plain": 1}}, "operator 'plain'"),
        ({"n": {"$gt": [1]}}, "compares numbers or strings"),
        ({"n": {"$lt": True}}, "compares numbers or strings"),
        ({"n": {"$lt": None}}, "compares numbers or strings"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(
    run: RunWithItems, ana: Principal, filter_: dict[str, Any], message: str
) -> None:
    async def scenario(items: Items) -> None:
        with pytest.raises(InvalidRequest) as refused:
            await items.search(ana, ItemQuery(filter=filter_))
        assert message in str(refused.value)

    run(scenario)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [("a",), ("a", "b", "c"), ("a", "x", "c"), ("b", "c")]),
        ({"prefix": ("a",)}, [("a",), ("a", "b", "c"), ("a", "x", "c")]),
        ({"prefix": ("a", "*")}, [("a", "b", "c"), ("a", "x", "c")]),
        ({"prefix": ("*", "b")}, [("a", "b", "c")]),
        ({"suffix": ("c",)}, [("a", "b", "c"), ("a", "x", "c"), ("b", "c")]),
        ({"suffix": ("b", "*")}, [("a", "b", "c"), ("b", "c")]),
        ({"suffix": ("x", "c")}, [("a", "x", "c")]),
        ({"prefix": ("a",), "suffix": ("*", "c")}, [("a", "b", "c"), ("a", "x", "c")]),
        ({"max_depth": 1}, [("a",), ("b",)]),
        ({"max_depth": 2}, [("a",), ("a", "b"), ("a", "x"), ("b", "c")]),
        ({"max_depth": 2, "suffix": ("c",)}, [("a", "b"), ("a", "x"), ("b", "c")]),
        ({"limit": 2, "offset": 1}, [("a", "b", "c"), ("a", "x", "c")]),
        ({"limit": 0}, []),
        ({"prefix": ("nothing",)}, []),
    ],
)
def test_namespaces_are_listed_in_order_by_prefix_suffix_and_depth(
    run: RunWithItems, ana: Principal, arguments: dict[str, Any], expected: list[tuple[str, ...]]
) -> None:
    async def scenario(items: Items) -> None:
        for namespace in [("b", "c"), ("a", "x", "c"), ("a",), ("a", "b", "c")]:
            await items.put(ana, namespace, "one", {})
            await items.put(ana, namespace, "two", {})
        assert await items.namespaces(ana, **arguments) == expected

    run(scenario)


LABELS = st.text(st.characters(exclude_characters=".\0", exclude_categories=["Cs"]), min_size=1, max_size=3)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=8, unique=True))
def test_any_label_is_found_below_itself_alone(
    run: RunWithItems, make_principal: Callable[[], Principal], places: list[tuple[str, str]]
) -> None:
    somebody = make_principal()

    async def scenario(items: Items) -> None:
        for place in places:
            await items.put(somebody, place, place[1], {"at": list(place)})
        assert await items.namespaces(somebody) == sorted(places)
        for place in places:
            below = await items.search(somebody, ItemQuery(namespace_prefix=place[:1], limit=100))
            assert {item.namespace for item in below} == {other for other in places if other[0] == place[0]}
            [exact] = await items.search(somebody, ItemQuery(namespace_prefix=place))
            assert exact.value == {"at": list(place)}

    run(scenario)


@pytest.mark.parametrize(
    ("namespace", "key", "message"),
    [
        ((), "k", "at least one label"),
        (("a.b",), "k", "without dots"),
        (("a", ""), "k", "not empty"),
        (("a\0",), "k", "NUL"),
        (("\ud800",), "k", "not valid Unicode"),
        (("a",), "", "A key is a string that is not empty"),
        (("a",), "\0", "NUL"),
        (("a",), "\ud800", "not valid Unicode"),
        (("a",) * 33, "k", "at most 32 labels"),
        (("a",), "é" * 750, "take 1501 bytes, and may take 1500"),
    ],
)
def test_a_name_that_no_item_may_have_is_refused(
    run: RunWithItems, ana: Principal, namespace: tuple[str, ...], key: str, message: str
) -> None:
    async def scenario(items: Items) -> None:
        for call in (
            items.put(ana, namespace, key, {}),
            items.get(ana, namespace, key),
            items.delete(ana, namespace, key),
        ):
            with pytest.raises(InvalidRequest) as refused:
                await call
            assert message in str(refused.value)

    run(scenario)


@pytest.mark.parametrize(
    "value", [{"bad": object()}, {"bad": "\ud800"}, {"bad": "a NUL \0"}, {"bad": {1, 2, object}}], ids=repr
)
def test_a_value_that_can_not_be_stored_is_refused(
    run: RunWithItems, ana: Principal, value: dict[str, object]
) -> None:
    async def scenario(items: Items) -> None:
        with pytest.raises(InvalidRequest):
            await items.put(ana, NOTES, "one", value)
        assert await items.get(ana, NOTES, "one") is None

    run(scenario)


def test_the_longest_names_are_stored(run: RunWithItems, ana: Principal) -> None:
    namespace = tuple(f"{n:02}" + "é" for n in range(32))
    key = "ü" * ((1_500 - 32 * 4) // 2)

    async def scenario(items: Items) -> None:
        await items.put(ana, namespace, key, {"text": "x" * 1_000_000})
        assert keys(await items.search(ana, ItemQuery(namespace_prefix=namespace))) == [key]

    run(scenario)


@pytest.mark.parametrize("page", [{"limit": -1}, {"offset": -1}])
def test_a_page_before_the_first_is_refused(run: RunWithItems, ana: Principal, page: dict[str, int]) -> None:
    async def scenario(items: Items) -> None:
        with pytest.raises(InvalidRequest, match="can't be negative"):
            await items.search(ana, ItemQuery(**page))
        with pytest.raises(InvalidRequest, match="can't be negative"):
            await items.namespaces(ana, **page)
        with pytest.raises(InvalidRequest, match="at least 1"):
            await items.namespaces(ana, max_depth=0)

    run(scenario)
