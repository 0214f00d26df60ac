"""Whether a model call that brought no answer can have cost something."""

from http import HTTPStatus
from typing import Final

import httpx2
from pydantic_ai.exceptions import ModelAPIError, ModelConnectionError, ModelHTTPError

# Nothing was sent.
_UNSENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_UNSENT_PHASES: Final = frozenset({"pool", "connect"})
# A gateway lost patience with a provider that may go on and bill.
_UNKNOWN: Final = frozenset({HTTPStatus.GATEWAY_TIMEOUT})


def is_unbilled(error: Exception) -> bool:
    """Whether the provider never got the call, or refused it before it began to answer.

    False for everything else, such as a timeout or a connection that broke: nobody knows.
    """
    if isinstance(error, ModelConnectionError):
        return error.phase in _UNSENT_PHASES
    if isinstance(error, ModelAPIError) and error.in_stream:
        return False
    if isinstance(error, ModelHTTPError):
        return error.status_code >= HTTPStatus.BAD_REQUEST and error.status_code not in _UNKNOWN
    return isinstance(error, _UNSENT)
