"""CPU for runs that no client waits for, on platforms that give it only while a request is answered."""

from datetime import timedelta
from typing import Protocol

WORK_PATH = "/internal/work"
"""Where the request goes."""


class CpuPush(Protocol):
    """Asks the platform to send a request that some instance of this service holds open while there is work.

    It says nothing about what there is to do: the queue does.
    """

    async def ask(self, delay: timedelta | None = None) -> bool:
        """Have a request sent now, or after the delay (at most 30 days, the platform's limit).

        Returns whether the platform has noted it down. There may be no CPU once the reply to a caller is sent, so ask
        before. Takes seconds at most and does not raise: when it failed, that is logged, and the run waits in the
        queue until an instance has CPU for another reason.
        """
        ...
