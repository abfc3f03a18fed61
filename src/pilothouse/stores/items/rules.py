"""What a namespace, a key, a value and a filter may be: the same for every vendor."""

from collections.abc import Mapping
from typing import Literal, TypeAlias, cast, get_args

import msgspec

from pilothouse.errors import InvalidRequest

NAME_LIMIT_BYTES = 1_500
"""For a namespace and its key together. Firestore's limit of a document's name; an index row of PostgreSQL holds more."""
DEPTH_LIMIT = 32

Order = Literal["$gt", "$gte", "$lt", "$lte"]


class Equals(msgspec.Struct, frozen=True):
    """The field equals the operand, as JSON (`$eq`)."""

    field: str
    operand: object


class Differs(msgspec.Struct, frozen=True):
    """The field does not equal the operand, or is missing (`$ne`)."""

    field: str
    operand: object


class Compares(msgspec.Struct, frozen=True):
    """The field is of the operand's type and stands in that order to it; strings go by code point."""

    field: str
    operator: Order
    operand: float | str


Condition: TypeAlias = Equals | Differs | Compares


def require_name(namespace: tuple[str, ...], key: str) -> None:
    """Raises `InvalidRequest` unless an item may be called that."""
    if not namespace:
        raise InvalidRequest("A namespace needs at least one label.")
    require_labels(namespace)
    if not key or "\0" in key:
        raise InvalidRequest("A key is a string that is not empty, without NUL characters.")
    size = sum(len(_utf8(part)) for part in (*namespace, key))
    if size > NAME_LIMIT_BYTES:
        raise InvalidRequest(
            f"Namespace and key take {size} bytes, and may take {NAME_LIMIT_BYTES}: shorten them."
        )


def require_labels(labels: tuple[str, ...]) -> None:
    """Raises `InvalidRequest` unless these can be labels of a namespace."""
    for label in labels:
        if not label or "." in label or "\0" in label:
            raise InvalidRequest(
                f"A namespace's labels are strings that are not empty, without dots and NUL characters: not {label!r}."
            )
        _utf8(label)
    if len(labels) > DEPTH_LIMIT:
        raise InvalidRequest(f"A namespace has at most {DEPTH_LIMIT} labels, not {len(labels)}.")


def require_page(limit: int, offset: int, max_depth: int | None = None) -> None:
    """Raises `InvalidRequest` if one is out of its range."""
    if limit < 0 or offset < 0:
        raise InvalidRequest(f"limit and offset can't be negative: {limit}, {offset}.")
    if max_depth is not None and max_depth < 1:
        raise InvalidRequest(f"max_depth is at least 1, not {max_depth}.")


def encoded(value: object) -> bytes:
    """The value as JSON. Raises `InvalidRequest` if it can't be."""
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidRequest(f"The value can't be written as JSON: {error}.") from error


def conditions(filter_: Mapping[str, object] | None) -> list[Condition]:
    """The parsed filter: all of them must hold. Raises `InvalidRequest` with what is wrong with it."""
    return [condition for field, test in (filter_ or {}).items() for condition in _tests(field, test)]


def _tests(field: str, test: object) -> list[Condition]:
    if isinstance(test, Mapping):
        operators = cast("Mapping[str, object]", test)
        if any(name.startswith("$") for name in operators):
            return [_condition(field, name, operand) for name, operand in operators.items()]
    return [Equals(field, cast("object", test))]


def _condition(field: str, operator: str, operand: object) -> Condition:
    if operator == "$eq":
        return Equals(field, operand)
    if operator == "$ne":
        return Differs(field, operand)
    if operator not in get_args(Order):
        known = ", ".join(("$eq", "$ne", *get_args(Order)))
        raise InvalidRequest(f"The filter of {field!r} has the operator {operator!r}; there are {known}.")
    if isinstance(operand, bool) or not isinstance(operand, int | float | str):
        raise InvalidRequest(f"The filter of {field!r}: {operator} compares numbers or strings.")
    return Compares(field, cast("Order", operator), operand)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{text!r} is not valid Unicode.") from error
