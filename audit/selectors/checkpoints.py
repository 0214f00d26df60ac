"""The hub's signature over chains: its key, what it signs, whether a checkpoint is genuine."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.db.models import QuerySet

from audit import export_verifier
from audit.models import AuditCheckpoint, AuditKey
from kernel import sealing

FORMAT: Final = "agent-hub-audit-checkpoint-1"
ALGORITHM: Final = "Ed25519"
PURPOSE: Final = "audit.checkpoint"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a signing key; `raw` has 32 bytes."""

    key_id: str
    raw: bytes
    is_current: bool
    algorithm: str = ALGORITHM

    @property
    def text(self) -> str:
        """In base64."""
        return base64.b64encode(self.raw).decode()

    @property
    def pem(self) -> str:
        """As other programs like it."""
        key = Ed25519PublicKey.from_public_bytes(self.raw)
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def current_key() -> PublicKey:
    """The key with which the hub signs now."""
    raw = _private_key(sealing.derive(PURPOSE)).public_key().public_bytes_raw()
    return PublicKey(export_verifier.key_id_of(raw), raw, is_current=True)


def list_keys() -> list[PublicKey]:
    """The key of now, then those of earlier secrets, newest first."""
    current = current_key()
    earlier = AuditKey.objects.exclude(pk=current.key_id).order_by("-created_at", "pk")
    return [
        current,
        *(PublicKey(key.pk, bytes(key.public_key), is_current=False) for key in earlier),
    ]


def public_keys() -> dict[str, bytes]:
    """Every key that may have signed, by its id.

    One whose id is not its own digest is left out: somebody put it there.
    """
    return {
        key.key_id: key.raw
        for key in list_keys()
        if key.key_id == export_verifier.key_id_of(key.raw)
    }


def sign(document: Mapping[str, Any]) -> str:
    """The hub's signature over the canonical JSON of `document`, in base64."""
    signature = _private_key(sealing.derive(PURPOSE)).sign(export_verifier.canonical(document))
    return base64.b64encode(signature).decode()


def content_of(checkpoint: AuditCheckpoint) -> dict[str, Any]:
    """What a checkpoint's signature is over."""
    return {
        "format": FORMAT,
        "organization_id": str(checkpoint.organization_id),
        "position": checkpoint.position,
        "hash": checkpoint.hash,
        "signed_at": checkpoint.signed_at.isoformat(),
        "key_id": checkpoint.key_id,
    }


def is_genuine(checkpoint: AuditCheckpoint, *, keys: Mapping[str, bytes]) -> bool:
    """Whether one of `keys` (by id) signed it."""
    key = keys.get(checkpoint.key_id)
    return key is not None and export_verifier.has_signed(
        public_key=key, signature=checkpoint.signature, document=content_of(checkpoint)
    )


def list_checkpoints(*, organization_id: UUID) -> QuerySet[AuditCheckpoint]:
    """An organization's checkpoints, newest first."""
    return AuditCheckpoint.objects.filter(organization_id=organization_id).order_by(
        "-position", "-pk"
    )


def exists(*, organization_id: UUID, position: int) -> bool:
    """Whether there is a checkpoint at `position`."""
    rows = AuditCheckpoint.objects.filter(organization_id=organization_id, position=position)
    return rows.exists()


def find_first(*, organization_id: UUID, position: int) -> AuditCheckpoint | None:
    """The first checkpoint at `position` or behind it."""
    rows = AuditCheckpoint.objects.filter(organization_id=organization_id, position__gte=position)
    return rows.order_by("position").first()


@cache
def _private_key(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed)
