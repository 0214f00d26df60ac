"""Questions about API keys: whose is this, and what does it leave of its owner's rights."""

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Final
from uuid import UUID

from django.db.models import QuerySet

from accounts.choices import API_KEYS, READ_SCOPE, WRITE_SCOPE
from accounts.errors import TokenRefused
from accounts.models import ApiKey
from accounts.selectors import network, rights
from kernel import permissions, sealing
from kernel.errors import NotFound

PREFIX: Final = "ahk_"


def get_key(*, key: str, now: datetime) -> ApiKey:
    """The live key with its owner, their rights, and `rules`; raises TokenRefused otherwise.

    Ask in `tenancy.platform()`: until the key is found nobody knows whose it is.
    """
    found = _with_callers().filter(key_hash=hash_key(key)).first()
    if found is None or not found.is_alive(now=now):
        raise TokenRefused
    if not (found.user.is_active and found.organization.is_active):
        raise TokenRefused
    found.user.held = found.held  # type: ignore[attr-defined]
    return found


def list_own(*, user_id: UUID) -> QuerySet[ApiKey]:
    """A person's keys that were not revoked, newest first."""
    return ApiKey.objects.filter(user_id=user_id, revoked_at=None).order_by("-created_at", "-pk")


def get_own(*, user_id: UUID, key_id: UUID) -> ApiKey:
    """One key of a person, revoked or not; raises NotFound."""
    found = ApiKey.objects.filter(user_id=user_id, pk=key_id).first()
    if found is None:
        raise NotFound
    return found


def hash_key(key: str) -> str:
    """The stored form of a key: HMAC-SHA256 (hex) under a key of the hub for this purpose alone."""
    secret = sealing.derive("api_key")
    return hmac.new(secret, key.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def limit_of(*, scopes: Iterable[str]) -> frozenset[str]:
    """The permissions that `scopes` amount to, whoever owns the key."""
    limit: set[str] = set()
    for scope in scopes:
        if scope == WRITE_SCOPE:
            limit.update(permissions.catalogue())
        elif scope == READ_SCOPE:
            limit.update(p.key for p in permissions.catalogue().values() if p.reads)
        else:
            limit.add(scope)
    return frozenset(limit - {API_KEYS})


@cache
def _with_callers() -> QuerySet[ApiKey]:
    """Keys with everything that is asked about who calls, in one query; put together once."""
    rows = rights.with_rights(ApiKey.objects.select_related("user", "organization"))
    return network.with_rules(rows)
