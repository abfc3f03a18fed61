"""What goes wrong when Google's library looks for an identity."""

from typing import Any, cast

from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError

from pilothouse.errors import ModelKeyInvalid, ModelUnavailable
from pilothouse.models.failures import Failure, sentence


def explain_identity(error: GoogleAuthError, fix: str) -> Failure:
    """`fix` says what else the person may set."""
    words = sentence(str(error.args[0] if error.args else error), ())
    if isinstance(error, DefaultCredentialsError):
        message = f"No Google Cloud identity was found: run “gcloud auth application-default login”, {fix}."
        return Failure(ModelKeyInvalid(message))
    if isinstance(error, TransportError) or cast("Any", error).retryable:
        return Failure(
            ModelUnavailable(f"Google's token server can't be reached: {words} Ask again."), retry=True
        )
    message = f"Google refused the identity of this service: {words} Renew its credentials, {fix}."
    return Failure(ModelKeyInvalid(message))
