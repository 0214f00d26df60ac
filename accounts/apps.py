"""Registration of the accounts app."""

from django.apps import AppConfig

from accounts.choices import PERMISSIONS, SETTINGS
from kernel import permissions
from preferences import choices as preferences


class AccountsConfig(AppConfig):
    """Organizations, people, their sessions and what they may do."""

    name = "accounts"

    def ready(self) -> None:
        """Fill the catalogues of permissions and settings, and watch changes of the policy."""
        permissions.register(*PERMISSIONS)
        preferences.register(*SETTINGS)
        from accounts.operations import security_policy, stepup  # noqa: PLC0415 - models must be loaded first
        from preferences.operations import CHANGED, GUARDS  # noqa: PLC0415 - the same

        CHANGED.append(security_policy.note_change)
        GUARDS.append(stepup.check_lock_out)
