"""Tools of a user's own for development: other ones than the hold-out's. Three examples each."""

from typing import Literal

from cases import asks, talks

from pilothouse.tools import tool


@tool(
    examples=[
        ("turn on the lights in the kitchen", {"room": "kitchen", "state": "on"}),
        ("bedroom lamp off please", {"room": "bedroom", "state": "off"}),
        ("switch off the hallway light", {"room": "hallway", "state": "off"}),
    ]
)
async def lights(room: str, state: Literal["on", "off"]) -> str:
    """Switch the lights of a room on or off."""
    return f"Lights in the {room} are {state}."


@tool(
    examples=[
        ("play some jazz", {"what": "jazz"}),
        ("put on Bohemian Rhapsody", {"what": "Bohemian Rhapsody"}),
        ("I want to hear the new album by Adele", {"what": "the new album by Adele"}),
    ]
)
async def play_music(what: str) -> str:
    """Play a song, an album or a kind of music."""
    return f"Playing {what}."


@tool(
    examples=[
        ("I spent 12.50 on lunch", {"amount": 12.5, "category": "lunch"}),
        ("log an expense of 80 euros for fuel", {"amount": 80, "category": "fuel"}),
        ("add 9.99 for books to my expenses", {"amount": 9.99, "category": "books"}),
    ]
)
async def add_expense(amount: float, category: str) -> str:
    """Record an expense."""
    return f"Recorded {amount:g} for {category}."


@tool(
    examples=[
        ("what is the Apple stock at", {"company": "Apple"}),
        ("share price of Siemens?", {"company": "Siemens"}),
        ("how is Tesla doing on the stock market today", {"company": "Tesla"}),
    ]
)
async def stock_price(company: str) -> str:
    """Look up the current price of a company's shares."""
    return f"{company}: 123.40."


@tool(
    examples=[
        (
            "schedule a meeting with Laura on tuesday at 3pm",
            {"person": "Laura", "day": "tuesday", "time": "3pm"},
        ),
        ("put a call with the dentist in my calendar for friday", {"person": "the dentist", "day": "friday"}),
        ("set up lunch with Omar tomorrow at noon", {"person": "Omar", "day": "tomorrow", "time": "noon"}),
    ]
)
async def add_appointment(person: str, day: str, time: str = "") -> str:
    """Add an appointment to the calendar."""
    return f"With {person} on {day} {time}".strip() + "."


TOOLS = [lights, play_music, add_expense, stock_price, add_appointment]

CASES = [
    *asks(
        "lights",
        ("lights on in the garage", "in the garage are on"),
        ("can you make it dark in the living room", "living room are off"),
        ("please switch the office light on", "office are on"),
        ("kill the bathroom lights", "bathroom are off"),
        ("its too dark in the cellar", "cellar are on"),
    ),
    *asks(
        "play_music",
        ("play the beatles", "playing the beatles|playing beatles"),
        ("some classical music please", "classical"),
        ("could you put Thriller on", "Thriller"),
        ("i'd like to listen to techno", "techno"),
        ("start my workout playlist", "workout playlist"),
    ),
    *asks(
        "add_expense",
        ("paid 45 for groceries", "45 for groceries"),
        ("expense: 23.40 taxi", "23.4 for taxi"),
        ("note that i spent 300 on a new bike", "300 for a new bike|300 for new bike"),
        ("we had dinner for 64 euros", "64 for dinner"),
        ("cinema tickets cost me 27, write it down", "27 for cinema"),
    ),
    *asks(
        "stock_price",
        ("microsoft stock?", "microsoft:"),
        ("what are Nvidia shares worth", "Nvidia:"),
        ("price of a BMW share", "BMW:"),
        ("check Amazon on the market", "Amazon:"),
        ("did Netflix go up today", "Netflix:"),
    ),
    *asks(
        "add_appointment",
        ("meeting with Jonas on monday 10am", "With Jonas on monday 10am"),
        ("i'm seeing Eva on saturday, put it in the calendar", "With Eva on saturday"),
        ("book a call with Mr Tan tomorrow 4pm", "Mr Tan on tomorrow 4pm"),
        ("plan coffee with Nina on thursday", "Nina on thursday"),
        ("add dinner with grandma on sunday at 6pm to my calendar", "grandma on sunday 6pm"),
    ),
    *talks(
        "hello", "thanks a lot", "what is the stock market", "who sang Thriller?", "tell me a joke", "what can you do",
        "how does a light bulb work", "what should i cook tonight", "why is it dark at night", "how are you today",
        "who founded Microsoft", "write a limerick about cats", "what does jazz mean", "i had a long day",
    ),
]  # fmt: skip
