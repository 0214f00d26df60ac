"""What somebody may do: a value, computed from their assignments."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from accounts.choices import UserRole
from kernel.permissions import ANYONE, PERSON

PREFIXED: Final = "secret_ref_prefix"


@dataclass(frozen=True, slots=True)
class Grant:
    """Permissions for what `scope` names; a key that it lacks is any (contract 002 A4)."""

    permissions: frozenset[str]
    scope: tuple[tuple[str, str], ...]

    def covers(self, action: Mapping[str, str]) -> bool:
        """Whether every key of the scope equals that of the action, or begins it."""
        return all(
            key in action
            and (action[key].startswith(value) if key == PREFIXED else action[key] == value)
            for key, value in self.scope
        )


@dataclass(frozen=True, slots=True)
class Rights:
    """The effective rights of one caller; the one place that decides.

    `roles` are the names of the roles held without a scope, `everywhere` what is in those, `scoped`
    the rest. `limit` is what the scopes of an API key leave; None: the caller logged in themselves.
    """

    roles: tuple[str, ...] = ()
    everywhere: frozenset[str] = frozenset()
    scoped: tuple[Grant, ...] = ()
    limit: frozenset[str] | None = None
    # What a session is only for (`accounts.choices.Restriction`): until then it has no permission.
    restriction: str = ""

    @classmethod
    def of(cls, assignments: Iterable[tuple[Mapping[str, str], str, Iterable[str]]]) -> "Rights":
        """From `(scope, name of the role, its permissions)`."""
        roles: set[str] = set()
        everywhere: set[str] = set()
        scoped: list[Grant] = []
        for scope, name, permissions in assignments:
            if scope:
                scoped.append(Grant(frozenset(permissions), tuple(sorted(scope.items()))))
            else:
                roles.add(name)
                everywhere.update(permissions)
        return cls(tuple(sorted(roles)), frozenset(everywhere), tuple(scoped))

    @property
    def role(self) -> str:
        """The one word for them: the best built-in role, else the first of the others, else ""."""
        best = next((role for role in UserRole.values if role in self.roles), "")
        return best or next(iter(self.roles), "")

    def within(self, limit: frozenset[str]) -> "Rights":
        """What of these rights an API key has whose scopes amount to `limit`."""
        return replace(self, limit=limit)

    def until(self, restriction: str) -> "Rights":
        """What of these rights a session has that must first lift `restriction`: none."""
        return Rights(roles=self.roles, restriction=restriction)

    def hold(self, permission: str, scope: Mapping[str, str] | None = None) -> bool:
        """Whether they allow `permission` for what `scope` names; without one: for everything."""
        if permission == ANYONE:
            return True
        if permission == PERSON:
            return self.limit is None
        if self.limit is not None and permission not in self.limit:
            return False
        return permission in self.everywhere or any(
            permission in grant.permissions and grant.covers(scope or {}) for grant in self.scoped
        )
