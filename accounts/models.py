"""Organizations, users, sessions, agent keys, and the base of every tenant-owned row."""

from datetime import datetime

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower

from accounts.choices import PERMISSIONS, UserRole
from kernel.models import Row


class Organization(Row):
    """A tenant: the owner of every other row."""

    name = models.CharField(max_length=255)
    slug = models.SlugField(max_length=64, unique=True)
    is_active = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.name


class TenantRow(Row):
    """The base of tenant-owned rows: selectors take the organization, always."""

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")

    class Meta:
        abstract = True


class UserManager(BaseUserManager["User"]):
    """Looks users up by e-mail without regard to case."""

    def get_by_natural_key(self, username: str | None) -> "User":
        """The user with this e-mail; raises User.DoesNotExist."""
        return self.get(email__iexact=username or "")


class User(AbstractBaseUser, TenantRow):
    """A person of one organization."""

    email = models.EmailField(max_length=254, unique=True)
    full_name = models.CharField(max_length=255, blank=True)
    role = models.CharField(max_length=16, choices=UserRole, default=UserRole.VIEWER)
    is_active = models.BooleanField(default=True)

    objects = UserManager()  # type: ignore[assignment,misc]  # people are looked up by e-mail

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_unique")]

    def __str__(self) -> str:
        return self.email

    @property
    def is_staff(self) -> bool:
        """Whether the console opens for this person: for every active one, by role."""
        return self.is_active

    def has_module_perms(self, app_label: str) -> bool:
        """Whether the console lists an app; each of its pages asks for its own permission."""
        return self.is_active

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Whether the user holds the named permission `perm`: the one place where this is decided.

        Django's own permissions per model are in no role, so they are always refused.
        """
        return self.is_active and self.role in PERMISSIONS.get(perm, frozenset())


class Session(TenantRow):
    """One login: the family of its tokens. Revoking it ends them with the next request."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    # The one refresh token that is good now; an older one coming back means theft.
    refresh_jti = models.CharField(max_length=64)
    ip_address = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=255, blank=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["user", "-created_at"], name="session_user")]

    def __str__(self) -> str:
        return f"{self.user_id} since {self.created_at:%Y-%m-%d %H:%M}"

    def is_alive(self, *, now: datetime) -> bool:
        """Whether its tokens still count."""
        return self.revoked_at is None and now < self.expires_at


class AgentKey(TenantRow):
    """A shared secret by which remote agents of an organization make themselves known."""

    name = models.CharField(max_length=255)
    prefix = models.CharField(max_length=12)
    # HMAC-SHA256 under the hub's secret key: a stolen table opens nothing.
    key_hash = models.CharField(max_length=64, unique=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
