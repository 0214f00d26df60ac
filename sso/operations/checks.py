"""Whether what an organization set up for its identity provider can work, before people log in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from accounts.selectors import roles
from kernel.errors import Invalid
from preferences.errors import SecretUnreadable
from preferences.selectors import values as settings
from sso import selectors
from sso.choices import split_role
from sso.clients.documents import CALL_SECONDS, Line, Metadata
from sso.clients.provider import KEY_TYPES
from sso.errors import NotConfigured, ProviderBusy, ProviderUnavailable

GROUPS: Final = "security.oidc_group_roles"
DEFAULT: Final = "security.oidc_default_role"
REASONS: Final[Mapping[str, str]] = {
    "outbound.refused": "the hub may not connect there. Public addresses need https, others must be"
    " listed in HUB_OUTBOUND_ALLOW",
    "outbound.failed": "there was no connection. Check name, port and certificate",
    "outbound.timed_out": f"there was no answer within {CALL_SECONDS:.0f} seconds",
    "out_of_time": "the provider took too long altogether",
    "too_large": "the answer is too large for what it should be",
    "no_json_object": "the answer is no JSON object",
    "issuer_differs": "it names another issuer. Set `oidc_issuer` to just that",
    "no_keys": "the answer lists no keys",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found, in sentences for people; `ok`: nothing stands in the way of logins."""

    ok: bool
    lines: list[str]


def check_provider(*, organization_id: UUID) -> Report:
    """Read the provider's documents anew, within 8 seconds; nothing is raised or stored.

    It takes a place among the logins that wait for providers.

    Client id and secret are not tried: only a login of somebody can.
    """
    try:
        agreed = selectors.get_registration(organization_id=organization_id)
    except NotConfigured:
        return Report(ok=False, lines=["Set `oidc_issuer` and `oidc_client_id` first."])
    except SecretUnreadable as error:
        return Report(ok=False, lines=[error.detail])
    try:
        return _check(Line(organization_id, anew=True), agreed.issuer)
    except ProviderBusy as error:
        return Report(ok=False, lines=[error.detail])
    except ProviderUnavailable as failure:
        return Report(ok=False, lines=[f"{failure.url}: {_say(failure.reason)}."])


def check_role_names(organization_id: UUID, values: Mapping[str, Any]) -> None:
    """Raises Invalid for roles that the organization has not; those named before may stay.

    A hook of `preferences.operations.CHECKS`.
    """
    before = settings.read(organization_id=organization_id)
    asked = {entry: split_role(entry)[1] for entry in values.get(GROUPS) or ()}
    named = {GROUPS: {asked[entry] for entry in set(asked) - set(before[GROUPS])}}
    if values.get(DEFAULT) and values[DEFAULT] != before[DEFAULT]:
        named[DEFAULT] = {values[DEFAULT]}
    if not any(named.values()):
        return
    rows = roles.list_roles(organization_id=organization_id)
    known = {name.lower() for name in rows.values_list("name", flat=True)}
    wrong = [
        {"field": key, "message": f"There is no role {name[:80]!r}.", "type": "unknown_role"}
        for key, names in named.items()
        for name in sorted(names)
        if name.lower() not in known
    ]
    if wrong:
        raise Invalid(fields=wrong)


def _check(line: Line, issuer: str) -> Report:
    metadata = line.discover(issuer)
    lines = [f"{metadata.issuer} publishes its endpoints."]
    if not metadata.algorithms:
        known = ", ".join(KEY_TYPES)
        return Report(ok=False, lines=[*lines, f"It signs with none of {known}."])
    usable = _count(line.keys(metadata), metadata)
    if not usable:
        return Report(ok=False, lines=[*lines, f"{metadata.jwks_uri}: no key of it can be used."])
    return Report(
        ok=True,
        lines=[
            *lines,
            f"It has {usable} usable {'key' if usable == 1 else 'keys'}.",
            "Client id and secret are tried by the first login.",
        ],
    )


def _count(keys: list[Any], metadata: Metadata) -> int:
    kinds = {KEY_TYPES[algorithm] for algorithm in metadata.algorithms}
    return sum(
        isinstance(jwk, dict) and jwk.get("kty") in kinds and jwk.get("use", "sig") == "sig"
        for jwk in keys
    )


def _say(reason: str) -> str:
    kind, _, what = reason.partition("_")
    match kind:
        case "status":
            return f"the answer has the status {what}"
        case "no" if reason not in REASONS:
            return f"the document has no `{what}`"
        case "bad":
            return f"the document's `{what}` is no address"
    return REASONS.get(reason, reason)
