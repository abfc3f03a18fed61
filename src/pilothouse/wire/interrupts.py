"""What runs ask when they stop."""

from collections.abc import Sequence

from pilothouse.events import Interrupt

BREAKPOINT = b'{"when":"breakpoint"}'


def is_breakpoint(interrupt: Interrupt) -> bool:
    """The run stopped before or after a node, and asks for nothing but to go on."""
    return bytes(interrupt.value) == BREAKPOINT


def questions(interrupts: Sequence[Interrupt]) -> list[Interrupt]:
    """Those that a human is to answer. A breakpoint shows in the state's `next` alone, as with LangGraph's server."""
    return [interrupt for interrupt in interrupts if not is_breakpoint(interrupt)]
