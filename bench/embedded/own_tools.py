"""The hold-out of tools such as a user may bring: five of them, three examples each, no hints. Run twice: see RESULTS.md."""

from typing import Literal

from cases import asks, talks

from pilothouse.tools import tool


@tool(
    examples=[
        (
            "get me a taxi from the station to the airport",
            {"pickup": "the station", "destination": "the airport"},
        ),
        ("cab to Main Street 12 from the office", {"pickup": "the office", "destination": "Main Street 12"}),
        ("I need a ride from home to the hospital", {"pickup": "home", "destination": "the hospital"}),
    ]
)
async def book_taxi(pickup: str, destination: str) -> str:
    """Book a taxi ride."""
    return f"Taxi from {pickup} to {destination}."


@tool(
    examples=[
        ("add 6 eggs to the shopping list", {"item": "eggs", "quantity": 6}),
        ("we need two bottles of milk, put it on the list", {"item": "bottles of milk", "quantity": 2}),
        ("shopping list: 1 bread", {"item": "bread", "quantity": 1}),
    ]
)
async def add_to_shopping(item: str, quantity: int) -> str:
    """Add something to the shopping list."""
    return f"Added {quantity} {item}."


@tool(
    examples=[
        ("I ran for 30 minutes", {"sport": "ran", "minutes": 30}),
        ("log 45 min of swimming", {"sport": "swimming", "minutes": 45}),
        ("just did an hour of yoga", {"sport": "yoga", "minutes": 60}),
    ]
)
async def log_workout(sport: str, minutes: int) -> str:
    """Record a workout."""
    return f"Workout: {sport}, {minutes} minutes."


@tool(
    examples=[
        ("how much is 100 dollars in euros", {"amount": 100, "source": "dollars", "target": "euros"}),
        ("change 50 GBP to JPY", {"amount": 50, "source": "GBP", "target": "JPY"}),
        ("what are 20 francs worth in pounds?", {"amount": 20, "source": "francs", "target": "pounds"}),
    ]
)
async def convert_currency(amount: float, source: str, target: str) -> str:
    """Convert money from one currency to another."""
    return f"{amount:g} {source} in {target}."


@tool(
    examples=[
        ("open the blinds in the study", {"room": "study", "action": "open"}),
        ("close the bedroom curtains", {"room": "bedroom", "action": "close"}),
        ("blinds in the lounge, open please", {"room": "lounge", "action": "open"}),
    ]
)
async def blinds(room: str, action: Literal["open", "close"]) -> str:
    """Open or close the blinds of a room."""
    return f"Blinds in the {room}: {action}."


TOOLS = [book_taxi, add_to_shopping, log_workout, convert_currency, blinds]

CASES = [
    *asks(
        "book_taxi",
        ("order a cab from the hotel to the museum", "from the hotel to the museum"),
        ("i need a taxi to the theatre from my flat", "from my flat to the theatre"),
        ("can you book a ride from Park Lane 3 to the airport", "from Park Lane 3 to the airport"),
        ("taxi from the zoo to the station please", "from the zoo to the station"),
        ("get a cab, from the office to home", "from the office to home"),
    ),
    *asks(
        "add_to_shopping",
        ("put 4 bananas on the shopping list", "4 bananas"),
        ("add three cans of tuna to my list", "3 cans of tuna"),
        ("shopping: 2 packs of rice", "2 packs of rice"),
        ("we need 12 lemons", "12 lemons"),
        ("add 1 bottle of olive oil to the shopping list pls", "1 bottle of olive oil"),
    ),
    *asks(
        "log_workout",
        ("i cycled for 50 minutes", "cycled, 50 minutes"),
        ("log 20 min of rowing", "rowing, 20 minutes"),
        ("did 35 minutes of boxing today", "boxing, 35 minutes"),
        ("record 90 minutes tennis", "tennis, 90 minutes"),
        ("went climbing for forty minutes", "climbing, 40 minutes"),
    ),
    *asks(
        "convert_currency",
        ("250 euros in dollars?", "250 euros in dollars"),
        ("convert 80 CHF to EUR", "80 CHF in EUR"),
        ("how much are 5000 yen in pounds", "5000 yen in pounds"),
        ("what's 15 pounds worth in rupees", "15 pounds in rupees"),
        ("change 1200 SEK to NOK please", "1200 SEK in NOK"),
    ),
    *asks(
        "blinds",
        ("close the blinds in the kitchen", "kitchen: close"),
        ("open the curtains in the nursery", "nursery: open"),
        ("can you open the office blinds", "office: open"),
        ("living room blinds, close them", "living room: close"),
        ("shut the blinds in the attic", "attic: close"),
    ),
    *talks(
        "hey there!",
        "who invented the bicycle",
        "thank you, that's all",
        "what's the currency of Norway?",
        "who are you",
        "i'm so bored",
        "tell me a fun fact about bananas",
        "why do muscles hurt after sport",
        "what is yoga good for",
        "how do curtains block light",
    ),
]
