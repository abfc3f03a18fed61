"""redis-py's client, with errors of ours where the server is away. Imports redis-py, which takes half a second of CPU."""

from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import (
    ConnectionError,  # noqa: A004  redis-py's name
    MasterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,  # noqa: A004  redis-py's name
    TryAgainError,
)

from pilothouse.errors import StoreUnavailable

_REFUSALS = (
    ConnectionError,
    TimeoutError,
    OSError,
    MasterDownError,
    ReadOnlyError,
    TryAgainError,
    OutOfMemoryError,
)


class Client(Redis):
    async def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return cast("Any", await super().execute_command(*args, **options))  # pyright: ignore[reportUnknownMemberType]  untyped there
        except _REFUSALS as error:
            raise _unavailable(error) from error

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        return _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class _Pipeline(Pipeline):
    """Does not ask each time whether the server has its scripts: where it has not, they are loaded and all commands sent again.
    So commands that stand beside a script must be harmless twice."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands, scripts = self.command_stack, self.scripts
        self.scripts = set()
        try:
            try:
                return await super().execute(raise_on_error)
            except NoScriptError:
                self.command_stack, self.scripts = commands, scripts
                return await super().execute(raise_on_error)
        except _REFUSALS as error:
            raise _unavailable(error) from error


def _unavailable(error: Exception) -> StoreUnavailable:
    """Callers of the API see it, so it does not say where Redis is: its cause does."""
    if isinstance(error, OutOfMemoryError):
        return StoreUnavailable("Redis is out of memory: give it more, or shorten thread_ttl_days.")
    return StoreUnavailable("Redis can't be reached: check that it runs and that its address is right.")
