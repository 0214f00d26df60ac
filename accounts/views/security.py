"""Routes of `/api/v1/security`: the policy, and IP rules."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.choices import SECURITY
from accounts.errors import RulesLockOut
from accounts.models import IpRule
from accounts.operations import network, security_policy
from accounts.selectors import network as rules
from accounts.selectors import security_policy as policy
from accounts.serializers.security import (
    IpRuleOutput,
    IpRulesInput,
    IpRulesOutput,
    PasswordPolicyInput,
    PasswordPolicyOutput,
    PolicyChangedOutput,
    SecurityInput,
    SecurityOutput,
)
from kernel import clock
from kernel.http.viewsets import HubViewSet
from preferences.errors import StepUpLockOut


class SecurityViewSet(HubViewSet):
    """The organization's security policy: the settings `security.*` in another shape."""

    noun = "security"
    http_method_names = ["get", "put"]
    permissions: ClassVar = {
        "retrieve": SECURITY,
        "update": SECURITY,
        "retrieve_passwords": SECURITY,
        "update_passwords": SECURITY,
    }
    step_up: ClassVar = frozenset({"update", "update_passwords"})
    refusals: ClassVar = {"update": (StepUpLockOut,)}
    detail = False

    @extend_schema(responses={200: SecurityOutput})
    def retrieve(self, request: Request) -> Response:
        """The policy that counts now."""
        return Response(policy.describe(organization_id=self.organization_id))

    @extend_schema(request=SecurityInput, responses={200: SecurityOutput})
    def update(self, request: Request) -> Response:
        """Change the given fields; the others stay."""
        security_policy.change_policy(
            organization_id=self.organization_id,
            values=self.read(SecurityInput),
            actor=self.actor,
            now=clock.now(),
            session_id=getattr(request, "session_id", None),
        )
        return self.retrieve(request)

    @extend_schema(responses={200: PasswordPolicyOutput}, operation_id="password_policy_retrieve")
    def retrieve_passwords(self, request: Request) -> Response:
        """What a password must be like."""
        return Response(self._passwords())

    @extend_schema(
        request=PasswordPolicyInput,
        responses={200: PolicyChangedOutput},
        operation_id="password_policy_update",
    )
    def update_passwords(self, request: Request) -> Response:
        """Change the given fields; passwords that exist are not looked at until they change."""
        security_policy.change_passwords(
            organization_id=self.organization_id,
            values=self.read(PasswordPolicyInput),
            actor=self.actor,
            now=clock.now(),
        )
        return Response({"status": "updated", "policy": self._passwords()})

    def _passwords(self) -> dict[str, Any]:
        return policy.describe(organization_id=self.organization_id)["password_policy"]


class IpRuleViewSet(HubViewSet):
    """From where the organization may be reached."""

    noun = "ip_rule"
    http_method_names = ["get", "put"]
    queryset = IpRule.objects.none()
    serializer_class = IpRuleOutput
    permissions: ClassVar = {"list": SECURITY, "replace": SECURITY}
    step_up: ClassVar = frozenset({"replace"})
    refusals: ClassVar = {"replace": (RulesLockOut,)}
    detail = False

    def list(self, request: Request) -> Response:
        """The rules in their order."""
        return self.page(rules.list_rules(organization_id=self.organization_id), IpRuleOutput)

    @extend_schema(request=IpRulesInput, responses={200: IpRulesOutput})
    def replace(self, request: Request) -> Response:
        """Replace the whole list."""
        made = network.replace_rules(
            organization_id=self.organization_id,
            rules=self.read(IpRulesInput)["items"],
            actor=self.actor,
            now=clock.now(),
        )
        return Response(IpRulesOutput({"items": made}).data)
