"""The first hold-out of tools of a user's own, looked at since: five tools, three examples each, no hints."""

from typing import Annotated, Literal

from cases import asks, talks

from pilothouse.tools import tool


@tool(
    examples=[
        ("what's the weather in Madrid?", {"city": "Madrid"}),
        ("will it rain in Oslo tomorrow", {"city": "Oslo", "day": "tomorrow"}),
        ("forecast for Cape Town on friday please", {"city": "Cape Town", "day": "friday"}),
    ]
)
async def weather(city: str, day: str = "today") -> str:
    """Look up the weather forecast for a city."""
    return f"The weather in {city} {day}: sunny, 21 degrees."


@tool(
    examples=[
        ("add buy milk to my list", {"title": "buy milk"}),
        ("new urgent task: call the bank", {"title": "call the bank", "priority": "high"}),
        (
            "put cleaning the garage on the list, not important",
            {"title": "cleaning the garage", "priority": "low"},
        ),
    ]
)
async def create_task(
    title: Annotated[str, "What is to be done."], priority: Literal["low", "normal", "high"] = "normal"
) -> str:
    """Put a task on the to-do list."""
    return f"Task: {title} ({priority})."


@tool(
    examples=[
        (
            "find me a flight from Berlin to Porto on 3 June",
            {"origin": "Berlin", "destination": "Porto", "date": "3 June"},
        ),
        (
            "fly to Athens from Zurich next monday",
            {"origin": "Zurich", "destination": "Athens", "date": "next monday"},
        ),
        (
            "any planes Dublin - Nice tomorrow?",
            {"origin": "Dublin", "destination": "Nice", "date": "tomorrow"},
        ),
    ]
)
async def find_flight(origin: str, destination: str, date: str) -> str:
    """Search for flights between two cities."""
    return f"Flights from {origin} to {destination}, {date}: 9:10 and 17:45."


@tool(
    examples=[
        ("set a timer for 10 minutes", {"minutes": 10}),
        ("timer 25 min for the cake", {"minutes": 25, "label": "cake"}),
        ("wake me in 40 minutes", {"minutes": 40}),
    ]
)
async def set_timer(minutes: int, label: str = "") -> str:
    """Set a kitchen timer that rings after some minutes."""
    return f"Timer set: {minutes} minutes. {label}".strip()


@tool(
    examples=[
        ("text Maria that I'm running late", {"to": "Maria", "text": "I'm running late"}),
        ("tell John dinner is ready", {"to": "John", "text": "dinner is ready"}),
        ("send a message to Ken: see you at 8", {"to": "Ken", "text": "see you at 8"}),
    ]
)
async def send_message(to: str, text: str) -> str:
    """Send a text message to a person."""
    return f"To {to}: {text}"


TOOLS = [weather, create_task, find_flight, set_timer, send_message]

CASES = [
    *asks(
        "weather",
        ("hows the weather in Lima", "in Lima today"),
        ("do i need an umbrella in Hamburg tomorrow?", "in Hamburg tomorrow"),
        ("is it going to snow in Denver on sunday", "in Denver sunday|in Denver on sunday"),
        ("temperature in New Delhi pls", "in New Delhi today"),
        ("Sydney weather friday", "in Sydney friday"),
    ),
    *asks(
        "create_task",
        ("add water the plants to my todo list", "Task: water the plants"),
        ("remember to put book dentist on the list", "Task: book dentist"),
        ("urgent: new task pay the rent", "pay the rent (high)"),
        ("create a task to renew my passport", "renew my passport"),
        ("put washing the car on my list, low priority", "washing the car (low)"),
    ),
    *asks(
        "find_flight",
        ("flights from Vienna to Rome on 12 may?", "from Vienna to Rome, 12 may"),
        ("i want to fly to Tokyo from London next friday", "from London to Tokyo, next friday"),
        ("is there a plane Madrid - Lisbon tomorrow", "from Madrid to Lisbon, tomorrow"),
        (
            "search a flight leaving Oslo for Bergen on monday",
            "from Oslo to Bergen, monday|from Oslo to Bergen, on monday",
        ),
        ("get me from Paris to New York on 4 july", "from Paris to New York, 4 july"),
    ),
    *asks(
        "set_timer",
        ("timer for 15 minutes please", "set: 15 minutes"),
        ("start a 7 minute timer for the eggs", "set: 7 minutes"),
        ("ring in twenty minutes", "set: 20 minutes"),
        ("set timer 3 min for tea", "set: 3 minutes. tea"),
        ("can you wake me up in 90 minutes", "set: 90 minutes"),
    ),
    *asks(
        "send_message",
        ("text Ana that the meeting is cancelled", "To Ana: the meeting is cancelled"),
        ("tell Sam I'll be there in ten", "To Sam: I'll be there in ten"),
        ("message to Priya: happy birthday!", "To Priya: happy birthday"),
        ("let Tom know we won the game", "To Tom: we won the game"),
        ("send Lucy a message saying good luck today", "To Lucy: good luck today"),
    ),
    *talks(
        "hi, how are you",
        "what is the capital of Peru",
        "thanks!",
        "write me a haiku",
        "who are you?",
        "what's the difference between weather and climate",
        "how do planes fly",
        "i'm tired",
        "tell me a story",
        "cool, good job",
    ),
]
