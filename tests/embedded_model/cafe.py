"""Tools of somebody's own: three examples each, no hints in their schemas."""

from pilothouse.models.embedded.wire import Example, Function

ORDER = Function(
    name="order_drink",
    description="Order a drink at the bar.",
    parameters={
        "type": "object",
        "properties": {
            "drink": {"type": "string"},
            "size": {"type": "string", "enum": ["small", "large"]},
            "cups": {"type": "integer"},
        },
        "required": ["drink", "size", "cups"],
    },
    examples=(
        Example("get me two large green teas", {"drink": "green teas", "size": "large", "cups": 2}),
        Example("I'd like 1 small espresso please", {"drink": "espresso", "size": "small", "cups": 1}),
        Example("order three small lemonades", {"drink": "lemonades", "size": "small", "cups": 3}),
    ),
)
RESERVE = Function(
    name="reserve_table",
    description="Reserve a table for a number of people.",
    parameters={
        "type": "object",
        "properties": {
            "people": {"type": "integer"},
            "day": {"type": "string"},
            "name": {"type": "string"},
        },
        "required": ["people", "day"],
    },
    examples=(
        Example("book a table for 4 on friday", {"people": 4, "day": "friday"}),
        Example(
            "can we get a table for six people on Sunday, name is Baker",
            {"people": 6, "day": "Sunday", "name": "Baker"},
        ),
        Example("reserve for 2 tomorrow evening please", {"people": 2, "day": "tomorrow evening"}),
    ),
)
TOOLS = (ORDER, RESERVE)
