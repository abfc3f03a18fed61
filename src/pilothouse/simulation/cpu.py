"""CPU as Cloud Run bills it: for the life of an instance, or during requests only."""

import asyncio
from typing import Protocol

from pilothouse.simulation.instances import Instance

_REASON = "no request"
_IDLE_SECONDS = 0.1


class Cpu(Protocol):
    def busy(self, instance: Instance) -> None:
        """It was given a request."""
        ...

    def idle(self, instance: Instance) -> None:
        """It has no request any more, or not yet."""
        ...


class CpuAlways:
    def busy(self, instance: Instance) -> None:
        pass

    def idle(self, instance: Instance) -> None:
        pass


class CpuDuringRequests:
    """Freezes an instance shortly after its last request."""

    def busy(self, instance: Instance) -> None:
        instance.resume(_REASON)

    def idle(self, instance: Instance) -> None:
        asyncio.get_running_loop().call_later(_IDLE_SECONDS, _freeze_if_idle, instance, instance.given)


def _freeze_if_idle(instance: Instance, given: int) -> None:
    if not instance.in_flight and instance.given == given:
        instance.pause(_REASON)
