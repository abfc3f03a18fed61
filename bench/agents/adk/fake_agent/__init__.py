"""ADK finds the agent here."""

from . import agent  # noqa: F401  # how ADK wants it
