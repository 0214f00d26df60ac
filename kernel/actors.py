"""Who acts. Operations take an Actor; audit stores its parts as plain columns."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

ActorType = Literal["user", "agent", "key", "system", "anonymous"]


@dataclass(frozen=True, slots=True)
class Actor:
    """One acting party and where its request came from.

    `id` is a UUID as text, but for the system: there it is empty, or names the part of the hub that
    acts by itself (`worker`, `oidc`), and `label` says which one (`host:pid`, the provider).
    `organization_id` is None only for the system and for callers who are not known yet.
    """

    type: ActorType
    id: str = ""
    label: str = ""
    organization_id: UUID | None = None
    ip_address: str | None = None
    request_id: str = ""

    def __str__(self) -> str:
        return f"{self.type}:{self.id}" if self.id else self.type


SYSTEM = Actor(type="system", label="system")
