"""How long to wait for a model."""

from datetime import timedelta

import msgspec


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often a call to a model is made, and how long it may wait in between; see `pilothouse.models.retries`."""

    tries: int = 4
    total_wait: timedelta = timedelta(seconds=75)
    """Over a minute: a quota per minute is free again after one."""
    first_delay: timedelta = timedelta(seconds=1)
    longest_delay: timedelta = timedelta(seconds=20)


SILENCE = timedelta(minutes=5)
"""How long a server may say nothing: a model on a GPU service may have to start first."""
CONNECT = timedelta(seconds=10)
