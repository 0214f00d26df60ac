"""The dialect of seed 004 (`/v1`, `/currentuser`, `/permissions`): its words for a refusal.

Every other part of an answer (who may, what is read) is as elsewhere; only the shape differs.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from rest_framework.response import Response

from kernel import clock
from kernel.http import problems
from kernel.http.refusals import SEED_004
from kernel.http.viewsets import HubViewSet

NO_LOGIN: Final = "No login found"
# errCode by status, where it is a name (contract 004 C0).
NAMES: Final = {401: "LoginRequired", 403: "ForbiddenAccess"}
MESSAGES: Final = {
    400: "errMsg_BadRequest",
    401: "errMsg_LoginRequired",
    403: "errMsg_ForbiddenAccess",
    404: "errMsg_RecordNotFound",
    405: "errMsg_MethodNotAllowed",
    406: "errMsg_NotAcceptable",
    409: "errMsg_Conflict",
    413: "errMsg_TooLarge",
    415: "errMsg_UnsupportedMediaType",
    429: "errMsg_TooManyRequests",
    503: "errMsg_ServiceUnavailable",
}


class AgentHubViewSet(HubViewSet):
    """The base of seed 004's resources."""

    error_shape = SEED_004
    # What a stranger is told; a resource has a name of its own in it.
    login_message: ClassVar[str] = MESSAGES[401]

    def get_exception_handler(self) -> Any:
        """DRF asks each view."""
        return self._answer_refusal

    def _answer_refusal(self, error: Exception, context: Mapping[str, Any]) -> Response | None:
        response = problems.handle(error, context)
        if response is None:
            return None
        response.data = self.refusal(response.data)
        # Values are no class of their own here: 400 where `/api/v1` answers 422 (decisions 32).
        response.status_code = response.data.get("status", response.status_code)
        response.content_type = "application/json"
        return response

    def refusal(self, problem: Mapping[str, Any]) -> dict[str, Any]:
        """`{result, status, message, errCode, date, detail}` for an RFC 9457 problem."""
        status = 400 if problem["status"] == 422 else problem["status"]
        message = self.login_message if status == 401 else MESSAGES.get(status, "errMsg_Refused")
        return {
            "result": "ERR",
            "status": status,
            "message": message,
            "errCode": NAMES.get(status, status),
            "date": clock.now(),
            "detail": problem["detail"],
        }


class SessionRouteViewSet(AgentHubViewSet):
    """The base of its routes about the caller, which have a shorter word for a stranger."""

    def _answer_refusal(self, error: Exception, context: Mapping[str, Any]) -> Response | None:
        response = super()._answer_refusal(error, context)
        if response is not None and response.status_code == 401:
            response.data = {"status": "ERR", "message": NO_LOGIN}
        return response
