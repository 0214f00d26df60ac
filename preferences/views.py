"""Routes of `/api/v1/settings`."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from kernel import clock
from kernel.errors import Forbidden
from kernel.http.viewsets import HubViewSet
from preferences import operations
from preferences.choices import EDIT
from preferences.errors import StepUpLockOut, UnknownSetting
from preferences.selectors import values
from preferences.serializers import (
    ChangedOutput,
    CountOutput,
    SettingInput,
    SettingsInput,
    SettingsOutput,
)


class SettingsViewSet(HubViewSet):
    """The organization's settings."""

    noun = "setting"
    http_method_names = ["get", "put"]
    permissions: ClassVar = {"retrieve": EDIT, "update": EDIT, "bulk_update": EDIT}
    step_up: ClassVar = frozenset({"update", "bulk_update"})
    refusals: ClassVar = {
        "update": (UnknownSetting, StepUpLockOut),
        "bulk_update": (UnknownSetting, StepUpLockOut),
    }
    detail = False
    # Which of them are for secrets only the catalogue knows: the operation looks at the others.
    secret_fields: ClassVar = frozenset({"value", "settings"})

    @extend_schema(responses={200: SettingsOutput}, operation_id="setting_list")
    def retrieve(self, request: Request) -> Response:
        """Every setting with its value, by category and key."""
        return Response(values.describe(organization_id=self.organization_id))

    @extend_schema(request=SettingInput, responses={200: ChangedOutput})
    def update(self, request: Request, category: str, key: str) -> Response:
        """Change one setting; null resets it."""
        setting = values.get_setting(key=f"{category}.{key}")
        self._change({setting.key: self.read(SettingInput)["value"]})
        return Response({"key": setting.key, "status": "updated"})

    @extend_schema(request=SettingsInput, responses={200: CountOutput})
    def bulk_update(self, request: Request) -> Response:
        """Change several settings, all or none."""
        return Response({"updated": self._change(self.read(SettingsInput)["settings"])})

    def _change(self, asked: dict[str, Any]) -> int:
        for key in sorted(asked):
            self._check_may(values.get_setting(key=key).permission)
        return operations.change(
            organization_id=self.organization_id,
            values=asked,
            actor=self.actor,
            now=clock.now(),
            session_id=getattr(self.request, "session_id", None),
        )

    def _check_may(self, permission: str) -> None:
        """Some settings decide over security: another right than this view's is needed for them."""
        if not self.request.user.has_perm(permission):
            raise Forbidden(
                f"This needs the permission `{permission}`. Ask an administrator for it.",
                data={"permission": permission},
            )
