"""The permission catalogue: each app adds its keys, so that one list has them all.

`accounts` decides who holds a key; views, console pages and event types only name one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

# Names that are in no catalogue and no role. Whoever is authenticated in any way:
ANYONE: Final = "anyone"
# Whoever logged in as a person; not an API key, whatever its scopes.
PERSON: Final = "person"


@dataclass(frozen=True, slots=True)
class Permission:
    """One right: `key` is `<noun>.<verb>`, permanent, because roles and keys store it.

    `reads` puts it into the built-in viewer's role. `steers` marks what decides over the rights of
    others: only the built-in admin's role begins with it (contract decisions 9).
    """

    key: str
    group: str
    description: str
    reads: bool = False
    steers: bool = False


_catalogue: Final[dict[str, Permission]] = {}


def register(*permissions: Permission) -> None:
    """Add permissions; apps call this in `AppConfig.ready`. Raises ValueError for a twin."""
    for permission in permissions:
        if _catalogue.setdefault(permission.key, permission) != permission:
            raise ValueError(f"The permission {permission.key} is already registered differently.")


def catalogue() -> Mapping[str, Permission]:
    """Every permission by its key, as registered so far."""
    return MappingProxyType(_catalogue)
