"""The second hold-out of tools of a user's own, looked at since: five tools, three examples each, no hints."""

from typing import Literal

from cases import asks, talks

from pilothouse.tools import tool


@tool(
    examples=[
        ("two large margheritas please", {"pizza": "margheritas", "size": "large", "count": 2}),
        ("order a small pepperoni", {"pizza": "pepperoni", "size": "small", "count": 1}),
        ("can I get 3 medium hawaii pizzas", {"pizza": "hawaii", "size": "medium", "count": 3}),
    ]
)
async def order_pizza(pizza: str, size: Literal["small", "medium", "large"], count: int) -> str:
    """Order pizzas."""
    return f"Ordered {count} {size} {pizza}."


@tool(
    examples=[
        ("where is parcel AB123456", {"number": "AB123456"}),
        ("track my package 99871", {"number": "99871"}),
        ("has shipment ZX-4410 arrived?", {"number": "ZX-4410"}),
    ]
)
async def track_parcel(number: str) -> str:
    """Look up where a parcel is."""
    return f"Parcel {number} is on its way."


@tool(
    examples=[
        ("note: the wifi password is on the fridge", {"text": "the wifi password is on the fridge"}),
        ("write down that Ben likes tulips", {"text": "Ben likes tulips"}),
        ("make a note - car is parked on level 3", {"text": "car is parked on level 3"}),
    ]
)
async def take_note(text: str) -> str:
    """Write down a note."""
    return f"Noted: {text}"


@tool(
    examples=[
        ("show me a recipe for lasagna", {"dish": "lasagna"}),
        ("how do I cook pumpkin soup", {"dish": "pumpkin soup"}),
        ("find a vegan recipe for pancakes", {"dish": "pancakes", "diet": "vegan"}),
    ]
)
async def find_recipe(dish: str, diet: Literal["any", "vegan", "vegetarian"] = "any") -> str:
    """Find a recipe."""
    return f"A recipe for {dish} ({diet})."


@tool(
    examples=[
        ("set the heating to 21 degrees", {"degrees": 21}),
        ("make it 19 degrees in the bedroom", {"degrees": 19, "room": "bedroom"}),
        ("turn the thermostat in the office up to 23", {"degrees": 23, "room": "office"}),
    ]
)
async def set_heating(degrees: int, room: str = "everywhere") -> str:
    """Set the temperature of the heating."""
    return f"Heating: {degrees} degrees, {room}."


TOOLS = [order_pizza, track_parcel, take_note, find_recipe, set_heating]

CASES = [
    *asks(
        "order_pizza",
        ("I'd like 4 small funghi", "4 small funghi"),
        ("get us one large quattro stagioni", "1 large quattro stagioni"),
        ("2 medium salami pizzas pls", "2 medium salami"),
        ("we want five large vegetarian pizzas", "5 large vegetarian"),
        ("order a medium calzone", "1 medium calzone"),
    ),
    *asks(
        "track_parcel",
        ("wheres my parcel 55512", "Parcel 55512 "),
        ("track QR-7781", "Parcel QR-7781 "),
        ("status of package LM20493 please", "Parcel LM20493 "),
        ("did shipment 8834 get here yet", "Parcel 8834 "),
        ("i'm waiting for parcel HH900, where is it", "Parcel HH900 "),
    ),
    *asks(
        "take_note",
        ("note: rent is due on the 5th", "rent is due on the 5th"),
        ("please write down that the meeting moved to room 4", "the meeting moved to room 4"),
        ("make a note - buy new tires in may", "buy new tires in may"),
        ("write down: Paula's number is 5551234", "Paula's number is 5551234"),
        ("take a note that the keys are under the mat", "the keys are under the mat"),
    ),
    *asks(
        "find_recipe",
        ("recipe for apple pie", "for apple pie (any)"),
        ("how can i make ramen", "for ramen (any)"),
        ("i need a vegetarian recipe for chili", "for chili (vegetarian)"),
        ("show me how to cook risotto", "for risotto (any)"),
        ("any vegan brownies recipe?", "for brownies (vegan)"),
    ),
    *asks(
        "set_heating",
        ("heating to 20 please", "Heating: 20 degrees, everywhere"),
        ("set the kitchen to 18 degrees", "Heating: 18 degrees, kitchen"),
        ("turn the thermostat down to 16", "Heating: 16 degrees, everywhere"),
        (
            "it should be 22 degrees in the living room",
            "Heating: 22 degrees, living room|Heating: 22 degrees, the living room",
        ),
        ("warm up the bathroom to 24", "Heating: 24 degrees, bathroom|Heating: 24 degrees, the bathroom"),
    ),
    *talks(
        "hey, how's it going",
        "who invented pizza?",
        "thanks a lot",
        "what is the tallest building in the world",
        "what can you do?",
        "tell me a joke about cats",
        "why is it cold in winter",
        "i'm not feeling well",
        "how do birds fly",
        "great job",
    ),
]
