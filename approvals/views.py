"""Routes of `/api/v1/approvals` and `/api/v1/approval-rules`."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from approvals import selectors
from approvals.choices import DECIDE, READ, REQUEST
from approvals.errors import (
    AlreadyDecided,
    AlreadyVoted,
    ApprovalExpired,
    ApprovalNotFound,
    NotAnApprover,
    OwnRequest,
    RuleInUse,
    RuleNameTaken,
    RuleNotFound,
)
from approvals.filters import ApprovalFilter
from approvals.models import Approval, ApprovalRule
from approvals.operations import decisions, requests, rules
from approvals.serializers import (
    ApprovalDetailOutput,
    ApprovalInput,
    ApprovalOutput,
    ApprovalRuleDetailOutput,
    ApprovalRuleInput,
    ApprovalRuleOutput,
    ApproveInput,
    RejectInput,
    show_inquiry,
)
from kernel import clock
from kernel.http.viewsets import HubViewSet
from preferences.choices import EDIT


class ApprovalViewSet(HubViewSet):
    """What waits for people, and what became of it."""

    noun = "approval"
    queryset = Approval.objects.none()
    serializer_class = ApprovalOutput
    filterset_class = ApprovalFilter
    http_method_names = ["get", "post"]
    permissions: ClassVar = {
        "list": READ,
        "create": REQUEST,
        "retrieve": READ,
        "approve": DECIDE,
        "reject": DECIDE,
    }
    # What an agent waits for is said by a person, who shows a fresh second factor where asked.
    persons_only: ClassVar = frozenset({"approve", "reject"})
    step_up: ClassVar = frozenset({"approve", "reject"})
    missing = ApprovalNotFound
    refusals: ClassVar = dict.fromkeys(
        ("approve", "reject"),
        (OwnRequest, NotAnApprover, ApprovalExpired, AlreadyDecided, AlreadyVoted),
    )

    @property
    def caller(self) -> User:
        """Who asks; a program with an API key stands for its owner."""
        return cast("User", self.request.user)

    def find_subject(self, subject_id: UUID) -> Approval:
        """The approval of a detail route."""
        return selectors.get_approval(organization_id=self.organization_id, approval_id=subject_id)

    def permission_scope(self, subject: Approval | None, body: Any) -> Mapping[str, str]:
        """A role may be given for one agent."""
        return subject.scope if subject else {}

    def list(self, request: Request) -> Response:
        """Approvals, newest first; `?mine=true`: those that wait for the caller's vote."""
        rows = selectors.list_approvals(organization_id=self.organization_id, now=clock.now())
        return self.page(rows, ApprovalOutput)

    @extend_schema(request=ApprovalInput, responses={201: ApprovalDetailOutput})
    def create(self, request: Request) -> Response:
        """Ask for an approval."""
        approval = requests.request_approval(
            organization_id=self.organization_id,
            values=self.read(ApprovalInput),
            user_id=self.caller.pk,
            actor=self.actor,
            now=clock.now(),
        )
        return self._show(approval, status=201)

    @extend_schema(responses={200: ApprovalDetailOutput})
    def retrieve(self, request: Request, pk: str) -> Response:
        """One approval, with its votes and who may still vote."""
        return self._show(self.subject)

    @extend_schema(request=ApproveInput, responses={200: ApprovalDetailOutput})
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Vote for it; the vote that completes the quorum approves it."""
        return self._show(decisions.approve(**self._vote(), **self.read(ApproveInput)))

    @extend_schema(request=RejectInput, responses={200: ApprovalDetailOutput})
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        """Reject it, with a reason; one vote is enough."""
        return self._show(decisions.reject(**self._vote(), **self.read(RejectInput)))

    def _vote(self) -> dict[str, Any]:
        return {
            "organization_id": self.organization_id,
            "approval_id": self.subject.pk,
            "actor": self.actor,
            "user": self.caller,
            "now": clock.now(),
        }

    def _show(self, approval: Approval, *, status: int = 200) -> Response:
        inquiry = selectors.inquire(approval=approval, now=clock.now())
        return Response(show_inquiry(inquiry, user_id=self.caller.pk), status=status)


class RuleViewSet(HubViewSet):
    """Which actions need whose approval."""

    noun = "approval_rule"
    queryset = ApprovalRule.objects.none()
    serializer_class = ApprovalRuleOutput
    http_method_names = ["get", "post", "patch", "delete"]
    permissions: ClassVar = {
        "list": READ,
        "create": EDIT,
        "retrieve": READ,
        "partial_update": EDIT,
        "destroy": EDIT,
    }
    step_up: ClassVar = frozenset({"create", "partial_update", "destroy"})
    missing = RuleNotFound
    refusals: ClassVar = {
        "create": (RuleNameTaken,),
        "partial_update": (RuleNameTaken,),
        "destroy": (RuleInUse,),
    }

    def find_subject(self, subject_id: UUID) -> ApprovalRule:
        """The rule of a detail route."""
        return selectors.get_rule(organization_id=self.organization_id, rule_id=subject_id)

    def list(self, request: Request) -> Response:
        """Rules by name."""
        return self.page(
            selectors.list_rules(organization_id=self.organization_id), ApprovalRuleOutput
        )

    @extend_schema(request=ApprovalRuleInput, responses={201: ApprovalRuleDetailOutput})
    def create(self, request: Request) -> Response:
        """Make a rule for approvals that are opened from now on."""
        rule = rules.create_rule(
            organization_id=self.organization_id,
            values=self.read(ApprovalRuleInput),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(ApprovalRuleDetailOutput(rule).data, status=201)

    @extend_schema(responses={200: ApprovalRuleDetailOutput})
    def retrieve(self, request: Request, pk: str) -> Response:
        """One rule."""
        return Response(ApprovalRuleDetailOutput(self.subject).data)

    @extend_schema(request=ApprovalRuleInput, responses={200: ApprovalRuleDetailOutput})
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change a rule; approvals that are open keep what they began with."""
        rule = rules.update_rule(
            organization_id=self.organization_id,
            rule_id=self.subject.pk,
            values=self.read(ApprovalRuleInput, partial=True),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(ApprovalRuleDetailOutput(rule).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Remove a rule; approvals that are open keep what they began with."""
        rules.delete_rule(
            organization_id=self.organization_id,
            rule_id=self.subject.pk,
            actor=self.actor,
            now=clock.now(),
        )
        return Response(status=204)
