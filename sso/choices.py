"""The settings of logging in with an identity provider, and what they may be."""

import re
from typing import Any, Final
from urllib.parse import urlsplit

from accounts.choices import SECURITY
from preferences.choices import Setting

ISSUER_LENGTH: Final = 255
DOMAIN: Final = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
# RFC 6749 §3.3, with blanks in between.
SCOPES: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")


def is_address(text: str) -> bool:
    """Whether it is an http or https address without a user and a fragment."""
    try:
        parts = urlsplit(text)
        well_formed = parts.port is None or parts.port > 0
    except ValueError:
        return False
    named = parts.scheme in {"http", "https"} and bool(parts.hostname)
    return named and well_formed and not ("@" in parts.netloc or parts.fragment)


def split_role(entry: str) -> tuple[str, str]:
    """Group and role of `group=role`; names of groups may hold a `=` (LDAP), those of roles not."""
    group, _, role = entry.rpartition("=")
    return group.strip(), role.strip()


def _check_issuer(value: str) -> str:
    if not value:
        return ""
    if len(value) > ISSUER_LENGTH or not is_address(value) or "?" in value:
        return "Send the issuer's address, such as https://login.example.com/realms/staff."
    return ""


def _check_scopes(value: str) -> str:
    if not SCOPES.fullmatch(value) or "openid" not in value.split():
        return "Send scopes with one blank in between; `openid` must be among them."
    return ""


def _check_claim(value: str) -> str:
    return "" if value else "Send the name of the claim that lists a person's groups."


def _check_roles(value: list[str]) -> str:
    wrong = [entry for entry in value if not all(split_role(entry))]
    return f"Send entries of the form group=role, unlike {wrong[0][:80]!r}." if wrong else ""


def _check_domains(value: list[str]) -> str:
    wrong = [entry for entry in value if not DOMAIN.fullmatch(entry.lower())]
    return f"Send domains such as example.com, unlike {wrong[0][:80]!r}." if wrong else ""


def _setting(name: str, kind: Any, default: Any, description: str, **more: Any) -> Setting:
    return Setting(
        key=f"security.oidc_{name}",
        kind=kind,
        default=default,
        description=description,
        permission=SECURITY,
        **more,
    )


SETTINGS: Final = (
    _setting(
        "issuer",
        "string",
        "",
        "Address of the OpenID Connect provider with which people log in; empty: none.",
        check=_check_issuer,
    ),
    _setting("client_id", "string", "", "What the provider calls this hub."),
    _setting(
        "client_secret",
        "string",
        "",
        "The hub's password at the provider; none for a public client.",
        secret=True,
        bound_to=("security.oidc_issuer",),
    ),
    _setting(
        "scopes",
        "string",
        "openid email profile",
        "What the provider is asked for.",
        check=_check_scopes,
    ),
    _setting(
        "groups_claim",
        "string",
        "groups",
        "Claim that lists a person's groups; dots lead into objects (realm_access.roles).",
        check=_check_claim,
    ),
    _setting(
        "group_roles",
        "list",
        [],
        "Which group gives which role (group=role), at each login anew.",
        check=_check_roles,
    ),
    _setting(
        "default_role",
        "string",
        "",
        "Role of those in no mapped group; empty: without a role given by hand they stay out.",
    ),
    _setting(
        "allowed_domains",
        "list",
        [],
        "Domains whose e-mail addresses may log in through the provider; none: any.",
        check=_check_domains,
    ),
    _setting("button_label", "string", "Log in with single sign-on", "What the button to it says."),
    _setting(
        "create_users",
        "boolean",
        default=False,
        description="People whom only the provider knows get an account with their first login.",
    ),
)
