"""Routes of `/v1/agentoverride` (seed 004), and the history of an override in `/api/v1`."""

from typing import Any, ClassVar, Final, cast
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from agents import selectors
from agents.errors import (
    OverrideChanged,
    OverrideNameTaken,
    OverrideNotFound,
    OverrideRevisionIsCurrent,
    OverrideRevisionNotFound,
)
from agents.models import AgentOverride, AgentOverrideRevision
from agents.operations import overrides
from agents.serializers.agenthub import (
    AgentOverrideChange,
    AgentOverrideInput,
    AgentOverrideOutput,
)
from agents.serializers.overrides import OverrideRevisionOutput
from agents.views.agents import parse_number
from kernel import clock
from kernel.errors import Invalid
from kernel.http.agenthub import AgentHubViewSet, envelope, envelope_page
from kernel.http.viewsets import HubViewSet
from preferences.choices import EDIT

DATA_NAME: Final = "sys_agentOverride"
IF_MATCH: Final = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The `recordVersion` that was read: 409 unless it is the present one.",
)
NUMBERED: Final = [OpenApiParameter("number", OpenApiTypes.INT, OpenApiParameter.PATH)]


class AgentOverrideViewSet(AgentHubViewSet):
    """What counts instead of agents' own configuration (contract 004 C1).

    Writes are the administrator's: a prompt and tools decide what somebody else's agent may do, so
    `agent.edit`, which operators hold, is not enough.
    """

    noun = "agent_override"
    data_name = DATA_NAME
    lookup_url_kwarg = "sys_agentOverrideId"
    queryset = AgentOverride.objects.none()
    http_method_names = ["get", "post", "patch", "delete"]
    permissions: ClassVar = {
        "list": "agent.read",
        "retrieve": "agent.read",
        "create": EDIT,
        "partial_update": EDIT,
        "destroy": EDIT,
    }
    inputs: ClassVar = {"create": AgentOverrideInput, "partial_update": AgentOverrideChange}
    parameters: ClassVar = {"selected_tools": "selectedTools"}
    apis: ClassVar = {
        "list": "listAgentOverrides",
        "retrieve": "getAgentOverride",
        "create": "createAgentOverride",
        "partial_update": "updateAgentOverride",
        "destroy": "deleteAgentOverride",
    }
    missing = OverrideNotFound
    refusals: ClassVar = {
        "create": (OverrideNameTaken,),
        "partial_update": (OverrideChanged,),
        "destroy": (OverrideChanged,),
    }
    messages: ClassVar = {
        OverrideNameTaken.code: "errMsg_DuplicateUniqueIndexError:agentName-index",
        OverrideChanged.code: "errMsg_RecordVersionMismatch",
    }
    record_version: int | None = None

    def find_subject(self, subject_id: UUID) -> AgentOverride:
        """The override of a detail route."""
        return selectors.get_override(organization_id=self.organization_id, override_id=subject_id)

    def read_parameters(self, request: Request) -> None:
        """Also which state of the row the caller means to write over."""
        super().read_parameters(request)
        self.record_version = _if_match(request.headers.get("If-Match", "*"))
        if self.asked and "record_version" in self.asked:
            sent = self.asked.pop("record_version")
            self.record_version = sent if self.record_version in {None, sent} else -1

    @extend_schema(responses={200: envelope_page(DATA_NAME, AgentOverrideOutput)})
    def list(self, request: Request) -> Response:
        """The organization's overrides, newest first."""
        rows = selectors.list_overrides(organization_id=self.organization_id)
        return self.page(rows, AgentOverrideOutput)

    @extend_schema(responses={200: envelope(DATA_NAME, AgentOverrideOutput)})
    def retrieve(self, request: Request, sys_agentOverrideId: str) -> Response:  # noqa: N803 - seed 004's name
        """One override."""
        return self._shown(self.subject)

    @extend_schema(
        request=AgentOverrideInput, responses={201: envelope(DATA_NAME, AgentOverrideOutput)}
    )
    def create(self, request: Request) -> Response:
        """Override the agent of a name; it need not be there."""
        values = dict(self.asked)
        name = values.pop("agent_name")
        made = overrides.create_override(
            organization_id=self.organization_id, agent_name=name, values=values, **self._who()
        )
        return self._shown(made, status=201)

    @extend_schema(
        request=AgentOverrideChange,
        responses={200: envelope(DATA_NAME, AgentOverrideOutput)},
        parameters=[IF_MATCH],
    )
    def partial_update(self, request: Request, sys_agentOverrideId: str) -> Response:  # noqa: N803 - the same
        """Change what is named; null is as designed."""
        changed = overrides.update_override(
            organization_id=self.organization_id,
            override_id=self.subject.pk,
            values=self.asked,
            record_version=self.record_version,
            **self._who(),
        )
        return self._shown(changed)

    @extend_schema(responses={200: envelope(DATA_NAME, AgentOverrideOutput)}, parameters=[IF_MATCH])
    def destroy(self, request: Request, sys_agentOverrideId: str) -> Response:  # noqa: N803 - the same
        """Let the agent's own configuration count again; answers the last state."""
        gone = overrides.delete_override(
            organization_id=self.organization_id,
            override_id=self.subject.pk,
            record_version=self.record_version,
            **self._who(),
        )
        return self._shown(gone)

    def _shown(self, override: AgentOverride, *, status: int = 200) -> Response:
        response = self.answer(AgentOverrideOutput(override).data, status=status)
        response["ETag"] = f'"{override.record_version}"'
        return response

    def _who(self) -> dict[str, Any]:
        return {
            "actor": self.actor,
            "user_id": cast("User", self.request.user).pk,
            "now": clock.now(),
        }


class OverrideHistoryViewSet(HubViewSet):
    """What an override was, and going back to it."""

    noun = "override_revision"
    queryset = AgentOverrideRevision.objects.none()
    serializer_class = OverrideRevisionOutput
    http_method_names = ["get", "post"]
    permissions: ClassVar = {"revisions": "agent.read", "rollback": EDIT}
    missing = OverrideNotFound
    refusals: ClassVar = {"rollback": (OverrideRevisionNotFound, OverrideRevisionIsCurrent)}

    def find_subject(self, subject_id: UUID) -> AgentOverride:
        """The override of a detail route."""
        return selectors.get_override(organization_id=self.organization_id, override_id=subject_id)

    @extend_schema(responses={200: OverrideRevisionOutput(many=True)})
    @action(detail=True, methods=["get"])
    def revisions(self, request: Request, pk: str) -> Response:
        """What each write left, newest first."""
        rows = selectors.list_revisions(
            organization_id=self.organization_id, override_id=self.subject.pk
        )
        return self.page(rows, OverrideRevisionOutput)

    @extend_schema(request=None, responses={200: OverrideRevisionOutput}, parameters=NUMBERED)
    @action(detail=True, methods=["post"], url_path=r"revisions/(?P<number>[^/]+)/rollback")
    def rollback(self, request: Request, pk: str, number: str) -> Response:
        """Write the values of an earlier revision anew; answers the new revision."""
        revision = overrides.roll_back_override(
            organization_id=self.organization_id,
            override_id=self.subject.pk,
            number=parse_number(number),
            actor=self.actor,
            user_id=cast("User", request.user).pk,
            now=clock.now(),
        )
        return Response(OverrideRevisionOutput(revision).data)


def _if_match(text: str) -> int | None:
    """The version in an `If-Match`; None for any. Raises Invalid."""
    bare = text.strip().removeprefix("W/").strip('"')
    if bare == "*":
        return None
    if not (bare.isascii() and bare.isdecimal()) or len(bare) > 9:
        raise Invalid.field("If-Match", "Send the recordVersion in quotes.", type="range")
    return int(bare)
