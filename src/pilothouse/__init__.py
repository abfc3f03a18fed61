"""Pilothouse hosts AI agents: a streaming API with durable runs around the agent you bring."""

__version__ = "0.1.0"
