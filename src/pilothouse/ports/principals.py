"""Who is calling."""

from typing import NewType

import msgspec

UserId = NewType("UserId", str)
"""A user's stable id, from a verified credential: 1 to 128 of `A-Z a-z 0-9 . _ @ + -`."""


class Principal(msgspec.Struct, frozen=True):
    """Who is calling. Every store access carries one, and sees only what is its own."""

    user: UserId


LOCAL = Principal(UserId("local"))
"""The person at this machine, when the server listens on loopback only and no authentication is configured."""
