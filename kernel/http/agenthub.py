"""The dialect of seed 004 (`/v1`, `/currentuser`, `/permissions`): its envelope, its refusals.

Every other part of an answer (who may, what is read) is as elsewhere; only the shape and the order
of refusals differ (contract 004 C0): 401, 400, 403, 404, 409.
"""

import hashlib
import math
import re
import time
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Final
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from kernel import clock
from kernel.errors import Invalid
from kernel.http import problems
from kernel.http.json import OrjsonRenderer
from kernel.http.pagination import BoundedPagination, Read, whole
from kernel.http.refusals import SEED_004
from kernel.http.viewsets import HubViewSet

NO_LOGIN: Final = "No login found"
# errCode by status, where it is a name.
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
# What is said of a parameter, by the type of its error; any other one is out of its range.
FAULTS: Final = {
    "required": "isRequired",
    "null": "isRequired",
    "blank": "isRequired",
    "uuid": "isNotAValidID",
    "invalid": "TypeIsNotValid",
    "invalid_list": "TypeIsNotValid",
    "not_a_list": "TypeIsNotValid",
}
ACTIONS: Final = {
    "list": "list",
    "retrieve": "get",
    "create": "create",
    "partial_update": "update",
    "destroy": "delete",
}
GOOD_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
PAGE_SIZE: Final = 25
MAX_PAGE_SIZE: Final = 500
MAX_PAGE: Final = 10_000


def no_route() -> HttpResponse:
    """What a path below `/v1` answers that is none of its routes."""
    detail = "No such route. The API is described at /api/schema/swagger/."
    body = OrjsonRenderer().render(_refused(404, "errMsg_RouteNotFound", detail))
    return HttpResponse(body, status=404, content_type=OrjsonRenderer.media_type)


def _refused(status: int, message: str, detail: str) -> dict[str, Any]:
    return {
        "result": "ERR",
        "status": status,
        "message": message,
        "errCode": NAMES.get(status, status),
        "date": clock.now(),
        "detail": detail,
    }


class EnvelopePagination(BoundedPagination):
    """`?pageNumber=` from 1 on and `?pageRowCount=`; page 0 is all at once, at most 500 rows."""

    def read(self, request: Request) -> tuple[int, int]:
        """Number and size of the asked page; raises Invalid."""
        for name in ("pageNumber", "pageRowCount"):
            if len(request.query_params.getlist(name)) > 1:
                raise Invalid.field(name, "Send it once.", type="array")
        size = whole(request, "pageRowCount", default=PAGE_SIZE, low=1, high=MAX_PAGE_SIZE)
        number = whole(request, "pageNumber", default=1, low=0, high=MAX_PAGE + 1)
        if number > MAX_PAGE:
            raise Invalid.field(
                "pageNumber", f"Send at most {MAX_PAGE}, or filter the list.", type="max_value"
            )
        return number, size if number else MAX_PAGE_SIZE

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None, read: Read | None = None
    ) -> list[Any]:
        """The asked page; beyond 10,000 rows nobody counts them."""
        self.request, self.view = request, view
        self.number, self.limit = self.read(request)
        self.offset = max(0, self.number - 1) * self.limit
        rows = read(queryset) if read else queryset
        found = list(rows[self.offset : self.offset + self.limit + 1])
        self.more = len(found) > self.limit
        self.total, self.total_exact = self._total(queryset, len(found))
        return found[: self.limit]

    def get_paginated_response(self, data: Any) -> Response:
        """The page in the envelope of a list."""
        paging = {
            "pageNumber": self.number,
            "pageRowCount": self.limit,
            "totalRowCount": self.total,
            "pageCount": math.ceil(self.total / self.limit),
        }
        answer: Response = self.view.answer(data, paging=paging, filters=[], uiPermissions=[])
        return answer

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """The query parameters for the OpenAPI document."""
        bounds: list[tuple[str, dict[str, int], str]] = [
            (
                "pageNumber",
                {"minimum": 0, "maximum": MAX_PAGE, "default": 1},
                "0: no pages, at most 500 rows.",
            ),
            (
                "pageRowCount",
                {"minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE},
                "Page size.",
            ),
        ]
        return [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": text,
                "schema": {"type": "integer", **bound},
            }
            for name, bound, text in bounds
        ]


class AgentHubViewSet(HubViewSet):
    """The base of seed 004's resources.

    `data_name` is what one object is called in the envelope. `inputs` names the serializer of each
    action's body: what it makes of it is in `asked`, before anybody asks whether the caller may.
    `messages` are the resource's own `errMsg_…` by code, `parameters` its names for fields that an
    operation finds wrong, `apis` the seed's names of its actions, of which a stranger is told.
    """

    error_shape = SEED_004
    pagination_class: Any = EnvelopePagination
    data_name: ClassVar[str] = ""
    inputs: ClassVar[Mapping[str, type[serializers.BaseSerializer[Any]]]] = {}
    messages: ClassVar[Mapping[str, str]] = {}
    parameters: ClassVar[Mapping[str, str]] = {}
    apis: ClassVar[Mapping[str, str]] = {}
    # What a stranger is told of an action without a name.
    login_message: ClassVar[str] = MESSAGES[401]
    asked: Any = None
    _began = 0.0
    _known = 0.0

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """As elsewhere, and the time is taken."""
        self._began = time.perf_counter()
        super().initial(request, *args, **kwargs)

    def perform_authentication(self, request: Request) -> None:
        """The same."""
        super().perform_authentication(request)
        self._known = time.perf_counter()

    def admit(self, request: Request, **kwargs: Any) -> None:
        """What was sent is looked at before who may, and that before what there is."""
        if request.user is None:
            self.permission_denied(request)
        named = kwargs.get(self.lookup_url_kwarg or self.lookup_field)
        subject_id = self._parse_id(named) if self.detail else None
        self.read_parameters(request)
        self.check_permissions(request)
        if subject_id is not None:
            self.subject = self.find_subject(subject_id)

    def read_parameters(self, request: Request) -> None:
        """Check query and body; raises Invalid or DRF's ValidationError."""
        if self.action in self.inputs:
            self.asked = self.read(self.inputs[self.action])
        if self.action == "list" and isinstance(self.paginator, EnvelopePagination):
            self.paginator.read(request)
            self.filter_queryset(self.get_queryset().none())

    def answer(self, data: Any, *, status: int = 200, **more: Any) -> Response:
        """`data` (an object, or the rows of a list) in the envelope."""
        request: Any = self.request
        is_list = isinstance(data, list)
        data_name = f"{self.data_name}s" if is_list else self.data_name
        caller = getattr(request, "caller", None)
        asked = request.query_params.get("requestId", "")
        return Response(
            {
                "status": "OK",
                "statusCode": status,
                "elapsedMs": round((time.perf_counter() - self._began) * 1000),
                "ssoTime": round((self._known - self._began) * 1000),
                "source": "db",
                "cacheKey": self._cache_key(),
                "userId": request.user.pk,
                "sessionId": caller and (caller.session_id or caller.key_id),
                "requestId": asked if GOOD_ID.fullmatch(asked) else request.request_id,
                "dataName": data_name,
                "method": request.method,
                "action": ACTIONS[self.action],
                "appVersion": settings.VERSION,
                "rowCount": len(data) if is_list else 1,
                data_name: data,
                **more,
            },
            status=status,
        )

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
        wrong = [f"{self._named(each['field'])}: {each['message']}" for each in problem["errors"]]
        detail = " ".join(wrong) or problem["detail"]
        return _refused(status, self._message(problem, status), detail)

    def _message(self, problem: Mapping[str, Any], status: int) -> str:
        if named := self.messages.get(problem["code"]):
            return named
        if status == 401:
            api = self.apis.get(self.action or "")
            return f"errMsg_{api}RequiresLogin" if api else self.login_message
        if status == 404 and getattr(self, "action", None) == "destroy":
            return "errMsg_RecordNotFoundToDelete"
        if status == 400 and problem["errors"]:
            return self._fault(problem["errors"][0])
        return MESSAGES.get(status, "errMsg_Refused")

    def _fault(self, error: Mapping[str, str]) -> str:
        name, kind = self._named(error["field"]).partition(".")[0], error["type"]
        if kind == "array" or (kind == "invalid" and self._is_array(error["field"])):
            fault = "MustNotBeAnArray"
        elif kind == "invalid_choice" and self.request.method == "GET":
            several = len(self.request.query_params.getlist(name)) > 1
            fault = "ArrayHasAnInvalidEnumValue" if several else "IsNotAValidEnumValue"
        else:
            fault = FAULTS.get(kind, "IsNotValid")
        return f"errMsg_{name}{fault}"

    def _named(self, field: str) -> str:
        """As the seed calls it."""
        return self.parameters.get(field, field)

    def _is_array(self, name: str) -> bool:
        sent = self.request.data
        return isinstance(sent, Mapping) and isinstance(sent.get(name), list)

    def _parse_id(self, value: Any) -> UUID:
        try:
            return UUID(str(value))
        except ValueError:
            name = str(self.lookup_url_kwarg or self.lookup_field)
            raise Invalid.field(name, "Send a UUID.", type="uuid") from None

    def _cache_key(self) -> str:
        """The same for the same question of the same organization."""
        query = sorted(self.request.query_params.lists())
        asked = f"{self.actor.organization_id} {self.request.path} {query}"
        return hashlib.sha256(asked.encode()).hexdigest()[:32]


class SessionRouteViewSet(AgentHubViewSet):
    """The base of its routes about the caller, which have a shorter word for a stranger."""

    def _answer_refusal(self, error: Exception, context: Mapping[str, Any]) -> Response | None:
        response = super()._answer_refusal(error, context)
        if response is not None and response.status_code == 401:
            response.data = {"status": "ERR", "message": NO_LOGIN}
        return response


class EnvelopeOutput(serializers.Serializer[Any]):
    """What every successful answer holds beside its data."""

    status = serializers.CharField(help_text="OK")
    statusCode = serializers.IntegerField()
    elapsedMs = serializers.IntegerField()
    ssoTime = serializers.IntegerField(help_text="Of these, to find out who calls.")
    source = serializers.CharField(help_text="db")  # type: ignore[assignment]  # seed 004's name
    cacheKey = serializers.CharField()
    userId = serializers.UUIDField()
    sessionId = serializers.UUIDField(help_text="Or the API key's.")
    requestId = serializers.CharField()
    dataName = serializers.CharField()
    method = serializers.CharField()
    action = serializers.CharField(help_text=", ".join(sorted(ACTIONS.values())))
    appVersion = serializers.CharField()
    rowCount = serializers.IntegerField()


class PagingOutput(serializers.Serializer[Any]):
    """Where a page is in its list; beyond 10,000 rows `totalRowCount` stays there."""

    pageNumber = serializers.IntegerField()
    pageRowCount = serializers.IntegerField()
    totalRowCount = serializers.IntegerField()
    pageCount = serializers.IntegerField()


@cache
def envelope(data_name: str, output: Any) -> Any:
    """The serializer that describes one `output` in its envelope."""
    return _described(output, "Envelope", {data_name: output()})


@cache
def envelope_page(data_name: str, output: Any) -> Any:
    """The same for a list; `data_name` is that of one object."""
    return _described(
        output,
        "Page",
        {
            f"{data_name}s": output(many=True),
            "paging": PagingOutput(),
            "filters": serializers.ListField(child=serializers.DictField()),
            "uiPermissions": serializers.ListField(child=serializers.DictField()),
        },
    )


def _described(output: Any, kind: str, fields: Mapping[str, Any]) -> Any:
    name = output.__name__.removesuffix("Output")
    text = f"{'A page of' if kind == 'Page' else 'One'} {name} in seed 004's envelope."
    made = type(f"{name}{kind}Output", (EnvelopeOutput,), {**fields, "__doc__": text})
    return extend_schema_serializer(many=False)(made)
