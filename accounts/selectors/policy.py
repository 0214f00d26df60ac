"""The security policy of an organization, and what it asks of a person who logs in."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from uuid import UUID

from accounts.choices import Restriction
from accounts.models import User
from preferences.selectors import values


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings `security.<name>` in force; `accounts.choices.SETTINGS` says what they mean."""

    password_min_length: int
    password_require_uppercase: bool
    password_require_lowercase: bool
    password_require_digit: bool
    password_require_special: bool
    password_max_age_days: int
    password_history: int
    mfa_required: bool
    mfa_grace_period_hours: int
    step_up_required: bool
    step_up_max_age_minutes: int
    session_max_duration_hours: int
    session_idle_timeout_minutes: int
    session_max_concurrent: int
    lockout_threshold: int
    lockout_minutes: int
    registration_enabled: bool
    # When `mfa_required` was last changed; None: never.
    mfa_changed_at: datetime | None

    @property
    def idle_timeout(self) -> timedelta:
        """How long a console session lasts without a request."""
        return timedelta(minutes=self.session_idle_timeout_minutes)

    def restriction(self, user: User, now: datetime) -> str:
        """What a session of `user` is only for, a `Restriction`; "" for everything."""
        age = timedelta(days=self.password_max_age_days)
        is_old = bool(age) and user.password_changed_at + age <= now
        if is_old or user.password_is_temporary:
            return Restriction.PASSWORD
        return self.enrollment(user, now)

    def enrollment(self, user: User, now: datetime) -> str:
        """The same of somebody who showed no password, so that its age does not matter."""
        if self.mfa_required and user.mfa_enabled_at is None and self.mfa_due_at(user) <= now:
            return Restriction.MFA
        return ""

    def mfa_due_at(self, user: User) -> datetime:
        """Until when `user` may log in without a second factor where everybody needs one.

        The grace period begins with the rule, or with the person if they came later.
        """
        began = max(filter(None, [user.created_at, self.mfa_changed_at]))
        return began + timedelta(hours=self.mfa_grace_period_hours)


def find_mfa_due(*, user: User) -> datetime | None:
    """When `user` needs a second factor to log in; None: they have one, or need none. One query."""
    policy = get_policy(organization_id=user.organization_id)
    if not policy.mfa_required or user.mfa_enabled_at is not None:
        return None
    return policy.mfa_due_at(user)


def get_policy(*, organization_id: UUID) -> Policy:
    """The policy in force; one query. That of an unknown organization is the default."""
    found = values.read(organization_id=organization_id)
    settings = {
        field.name: found[f"security.{field.name}"]
        for field in fields(Policy)
        if field.name != "mfa_changed_at"
    }
    return Policy(**settings, mfa_changed_at=found.changed_at("security.mfa_required"))
