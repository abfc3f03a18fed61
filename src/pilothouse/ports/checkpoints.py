"""What the server does with checkpoints beyond what an engine does."""

from collections.abc import Sequence
from typing import Protocol

from pilothouse.events import RunId, ThreadId
from pilothouse.ports.principals import Principal


class Checkpoints(Protocol):
    """The engine states of each principal's threads."""

    async def copy_thread(self, principal: Principal, source: ThreadId, target: ThreadId) -> None:
        """Copy every checkpoint of a thread to a new one."""
        ...

    async def delete_thread(self, principal: Principal, thread_id: ThreadId) -> None:
        """Delete every checkpoint of a thread."""
        ...

    async def delete_for_runs(
        self, principal: Principal, thread_id: ThreadId, run_ids: Sequence[RunId]
    ) -> None:
        """Delete what these runs saved: the thread is then as it was before them."""
        ...
