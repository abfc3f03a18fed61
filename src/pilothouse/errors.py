"""The one exception tree.

Every error has a stable `code` for programs, says whether the same call may succeed later (`retryable`), and its
`str()` is safe to show to a user and says what to do. Layers below `server` know nothing of HTTP: `server.errors` holds
the one table from these classes to statuses.
"""

from datetime import timedelta
from typing import ClassVar


class PilothouseError(Exception):
    """Something went wrong; look at the log for the cause."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


# What a caller got wrong.


class InvalidRequest(PilothouseError):
    """The request is not valid."""

    code = "invalid_request"


class PayloadTooLarge(InvalidRequest):
    """The request body is over the limit: send less, or store large parts as artifacts."""

    code = "payload_too_large"


class NotFound(PilothouseError):
    """There is no such thing, or it belongs to somebody else."""

    code = "not_found"


class Conflict(PilothouseError):
    """The thing exists already, or something else is at work on it."""

    code = "conflict"


class Unauthenticated(PilothouseError):
    """Say who you are: no valid credential came with the request."""

    code = "unauthenticated"


class Forbidden(PilothouseError):
    """We know who you are, and you may not do this."""

    code = "forbidden"


# What an operator got wrong.


class ConfigurationError(PilothouseError):
    """The configuration is wrong."""

    code = "configuration"


class AgentUnavailable(ConfigurationError):
    """The agent could not be loaded; its traceback is in the server's log."""

    code = "agent_unavailable"


# What happens to a run.


class LeaseLost(PilothouseError):
    """A newer attempt owns this run: nothing more may be written by this one."""

    code = "lease_lost"


class RunFailed(PilothouseError):
    """The agent raised an error; its traceback is in the server's log."""

    code = "run_failed"


class ServerStopping(PilothouseError):
    """This server is stopping; the run goes on. Join it again."""

    code = "server_stopping"
    retryable = True


# What a model provider answers. Shown to the user as the run's error.


class ModelError(PilothouseError):
    """The model could not answer."""

    code = "model_error"


class ModelKeyInvalid(ModelError):
    """The model's provider refused the key: check it."""

    code = "model_key_invalid"


class ModelQuotaExceeded(ModelError):
    """The model's quota is spent.

    `retry_after` is the provider's own delay, where it gave one.
    """

    code = "model_quota_exceeded"
    retryable = True

    def __init__(self, message: str | None = None, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelUnknown(ModelError):
    """The provider has no model of that name: check the name."""

    code = "model_unknown"


class ModelUnavailable(ModelError):
    """The model's server can't be reached or is overloaded: try again, or check its address."""

    code = "model_unavailable"
    retryable = True


# What a tool refuses. The message goes to the model, which may try again with other arguments.


class ToolError(PilothouseError):
    """The tool could not do that."""

    code = "tool_error"


# What a server of ours does.


class StoreUnavailable(PilothouseError):
    """The store can't be reached: check that its server runs and its address is right."""

    code = "store_unavailable"
    retryable = True


class StoreRefused(PilothouseError):
    """The store could not do that; the cause is in the server's log."""

    code = "store_refused"


class TooBusy(PilothouseError):
    """Too much is going on: try again a little later."""

    code = "too_busy"
    retryable = True
