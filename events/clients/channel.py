"""The Redis channel between those who publish and the web processes that deliver."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson

from kernel import redis_client

CHANNEL: Final = "hub:events"


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event on its way; `sequence` is None for a live one."""

    organization_id: UUID
    user_id: UUID | None
    type: str
    data: Any
    sequence: int | None


def encode(
    *,
    organization_id: UUID,
    user_id: UUID | None,
    type: str,  # noqa: A002 - the wire's word
    data: Mapping[str, Any] | orjson.Fragment,
    sequence: int | None,
) -> bytes:
    """An envelope as JSON; raises TypeError for data that JSON cannot carry."""
    return to_json([organization_id, user_id, type, data, sequence])


def to_json(value: Any) -> bytes:
    """JSON in which UUIDs, instants and decimals are strings, and NaN is null.

    Raises TypeError for what no reader could parse: integers over 64 bits, half a surrogate pair.
    """
    return orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z)


def decode(message: bytes) -> Envelope:
    """The inverse of `encode`; raises ValueError for anything else."""
    match orjson.loads(message):
        case [str(organization), str() | None as user, str(kind), data, int() | None as sequence]:
            return Envelope(UUID(organization), UUID(user) if user else None, kind, data, sequence)
    raise ValueError("Not an envelope.")


def publish(messages: Iterable[bytes]) -> None:
    """Send encoded envelopes in order, in one round trip; raises redis.exceptions.RedisError."""
    pipeline = redis_client.client().pipeline(transaction=False)
    for message in messages:
        pipeline.publish(CHANNEL, message)
    pipeline.execute()
