"""People."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils.functional import cached_property

from accounts.models.organization import TenantRow
from accounts.models.rights import Rights
from kernel import clock


class AddressField(models.EmailField):  # type: ignore[type-arg]  # generic in the stubs alone
    """An e-mail address in small letters, wherever it is stored or looked for.

    A lookup that ignored case would read every row: no index serves one under row-level security.
    """

    def get_prep_value(self, value: Any) -> Any:
        """As it is stored and compared."""
        value = super().get_prep_value(value)
        return value.lower() if isinstance(value, str) else value

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:  # noqa: FBT001 - Django's signature
        """The row in memory has what is stored."""
        address = self.get_prep_value(getattr(model_instance, self.attname))
        setattr(model_instance, self.attname, address)
        return address


class UserManager(BaseUserManager["User"]):
    """Looks users up by e-mail without regard to case."""

    def get_by_natural_key(self, username: str | None) -> "User":
        """The user with this e-mail; raises User.DoesNotExist."""
        return self.get(email=username or "")


class User(AbstractBaseUser, TenantRow):
    """A person of one organization."""

    email = AddressField(max_length=254, unique=True)
    full_name = models.CharField(max_length=255, blank=True)
    is_active = models.BooleanField(default=True)
    last_login_ip = models.GenericIPAddressField(null=True, blank=True)
    failed_logins = models.PositiveIntegerField(default=0)
    locked_until = models.DateTimeField(null=True, blank=True)
    # Wrong passwords and codes of somebody who is logged in: a stranger who guesses at the login
    # must not keep the owner from confirming, nor the other way round.
    failed_confirmations = models.PositiveIntegerField(default=0, db_default=0)
    confirm_locked_until = models.DateTimeField(null=True, blank=True)
    # Somebody else knows it: good for choosing another one.
    password_is_temporary = models.BooleanField(default=False, db_default=False)
    password_changed_at = models.DateTimeField(default=clock.now)
    # Since when logging in takes a second factor; null: it does not.
    mfa_enabled_at = models.DateTimeField(null=True, blank=True)

    # No column: whoever shows people to themselves fills it in (`selectors.policy.find_mfa_due`).
    mfa_due_at: datetime | None = None

    objects = UserManager()  # type: ignore[assignment,misc]  # people are looked up by e-mail

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []

    def __str__(self) -> str:
        return str(self.email)

    @property
    def has_mfa(self) -> bool:
        """Whether logging in takes a second factor."""
        return self.mfa_enabled_at is not None

    @property
    def is_staff(self) -> bool:
        """Whether the console opens for this person: for every active one, by role."""
        return self.is_active

    def has_module_perms(self, app_label: str) -> bool:
        """Whether the console lists an app; each of its pages asks for its own permission."""
        return self.is_active

    @cached_property
    def rights(self) -> Rights:
        """What this person may do, read once for each instance.

        Whoever authenticates sets it, narrowed to the scopes of an API key. For a list of people
        read it along (`selectors.rights.with_rights`), or prefetch `assignments__role`.
        """
        if (read := self.__dict__.get("held")) is not None:
            return Rights.of((h["scope"], h["role"], h["permissions"]) for h in read)
        if "assignments" in getattr(self, "_prefetched_objects_cache", {}):
            held = [(a.scope, a.role.name, a.role.permissions) for a in self.assignments.all()]
            return Rights.of(held)
        return Rights.of(self.assignments.values_list("scope", "role__name", "role__permissions"))

    @property
    def role(self) -> str:
        """What this person is on the whole: `admin`, `operator`, `viewer`, or another role."""
        return self.rights.role

    def may(self, permission: str, scope: Mapping[str, str] | None = None) -> bool:
        """Whether the user holds `permission` for what `scope` names; without one: everywhere."""
        return self.is_active and self.rights.hold(permission, scope)

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Django's way to ask. Its own permissions per model are in no role: always refused."""
        return self.may(perm)
