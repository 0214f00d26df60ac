"""What a provider says of a person, in our words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from sso.errors import LoginRefused

LONGEST: Final = 255
EMAIL_LENGTH: Final = 254
MOST_GROUPS: Final = 2000
# RFC 8176's name, which providers also use for a class of authentication contexts.
MFA: Final = "mfa"
TRUE: Final = (True, "true", "1", 1)
# The last one is Entra's: it knows no `email_verified`, but says whether the domain is theirs.
VERIFIED: Final = ("email_verified", "xms_edov")


@dataclass(frozen=True, slots=True)
class Claims:
    """Who logged in at the provider, and how. `email` is empty unless the provider verified it."""

    subject: str
    email: str
    full_name: str
    groups: frozenset[str]
    has_mfa: bool
    # When they last proved who they are; None: the provider does not say.
    authenticated_at: datetime | None


def is_complete(found: Mapping[str, Any], *, groups_claim: str) -> bool:
    """Whether the ID token says all that we ask; else the userinfo endpoint is asked too."""
    return bool(found.get("email")) and _at(found, groups_claim) is not None


def understand(
    id_token: Mapping[str, Any], userinfo: Mapping[str, Any], *, groups_claim: str
) -> Claims:
    """Both together; what is signed wins. Raises LoginRefused for a subject that is none."""
    subject = id_token.get("sub")
    if not isinstance(subject, str) or not (0 < len(subject) <= LONGEST) or not _is_plain(subject):
        raise LoginRefused("bad_subject")
    said = {**userinfo, **id_token}
    groups = _at(id_token, groups_claim)
    return Claims(
        subject=subject,
        email=_email(id_token if id_token.get("email") else userinfo),
        full_name=_name(said.get("name")),
        groups=_groups(_at(userinfo, groups_claim) if groups is None else groups),
        has_mfa=_has_mfa(id_token),
        authenticated_at=_moment(id_token.get("auth_time")),
    )


def _email(said: Mapping[str, Any]) -> str:
    """The address with the word that it was verified, both of one source."""
    email = said.get("email")
    if not isinstance(email, str) or len(email) > EMAIL_LENGTH:
        return ""
    if not any(said.get(name) in TRUE for name in VERIFIED):
        return ""
    try:
        validate_email(email)
    except ValidationError:
        return ""
    return email


def _name(value: Any) -> str:
    return value.strip()[:LONGEST] if isinstance(value, str) and _is_plain(value) else ""


def _is_plain(text: str) -> bool:
    return text.isprintable()


def _at(said: Mapping[str, Any], claim: str) -> Any:
    """The claim of that name, which may have dots in it; else the dots lead into objects."""
    if claim in said:
        return said[claim]
    found: Any = said
    for step in claim.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _groups(value: Any) -> frozenset[str]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list):
        return frozenset()
    return frozenset(group for group in listed[:MOST_GROUPS] if isinstance(group, str))


def _has_mfa(said: Mapping[str, Any]) -> bool:
    methods, context = said.get("amr"), said.get("acr")
    if isinstance(methods, list) and MFA in methods:
        return True
    if not isinstance(context, str):
        return False
    return MFA in context.lower().replace("/", " ").replace(":", " ").split()


def _moment(value: Any) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError):
        return None
