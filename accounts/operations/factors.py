"""Second factors at work: a code of the authenticator, or a backup code; each is good once."""

import hashlib
import hmac
import secrets
from datetime import datetime
from typing import Final
from uuid import UUID

import pyotp
import structlog

from accounts.models import BackupCode, TotpDevice, User
from kernel import sealing

log = structlog.get_logger(__name__)
PURPOSE: Final = "totp"
STEP_SECONDS: Final = 30
# One step either way, for clocks and slow typists (contract 003 B1).
DRIFT: Final = (0, -1, 1)
BACKUP_CODES: Final = 10
# No sign that looks like another; 10 of these are 50 bits.
ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
BACKUP_LENGTH: Final = 10


def use(*, user: User, code: str, now: datetime) -> bool:
    """Whether the code is right and was not used before; it is used now.

    Six digits are the authenticator's, anything else a backup code.
    """
    plain = "".join(code.split()).replace("-", "").upper()
    if len(plain) == 6 and plain.isascii() and plain.isdecimal():
        return use_totp(user_id=user.pk, code=plain, now=now)
    return _use_backup(user.pk, plain, now)


def use_totp(*, user_id: UUID, code: str, now: datetime) -> bool:
    """The same for the authenticator alone (RFC 6238 §5.2: a step is accepted once)."""
    device = TotpDevice.objects.filter(user_id=user_id).first()
    secret = open_secret(device) if device else None
    if device is None or secret is None:
        return False
    step = _step(secret, code, now)
    if step is None:
        return False
    later = TotpDevice.objects.filter(pk=device.pk, last_step__lt=step)
    return later.update(last_step=step) == 1


def seal_secret(secret: str, *, device_id: UUID) -> bytes:
    """The stored form of an authenticator's secret."""
    return sealing.seal(secret.encode(), purpose=PURPOSE, place=str(device_id))


def open_secret(device: TotpDevice) -> str | None:
    """The secret in base 32; None if it was sealed under another key of the hub."""
    try:
        sealed = bytes(device.sealed_secret)
        return sealing.unseal(sealed, purpose=PURPOSE, place=str(device.pk)).decode()
    except sealing.SealBroken:
        log.exception("accounts.authenticator.not_opened", device_id=str(device.pk))
        return None


def replace_backup_codes(*, user: User, now: datetime) -> list[str]:
    """New backup codes for the user; those of before are gone. They are shown once."""
    BackupCode.objects.filter(user=user).delete()
    codes = [_backup_code() for _ in range(BACKUP_CODES)]
    BackupCode.objects.bulk_create(
        BackupCode(
            organization_id=user.organization_id,
            user=user,
            code_hash=_hash(user.pk, code),
            created_at=now,
        )
        for code in codes
    )
    half = BACKUP_LENGTH // 2
    return [f"{code[:half]}-{code[half:]}" for code in codes]


def remove(*, user: User) -> None:
    """Take the authenticator and the backup codes away."""
    TotpDevice.objects.filter(user=user).delete()
    BackupCode.objects.filter(user=user).delete()


def _step(secret: str, code: str, now: datetime) -> int | None:
    totp, present = pyotp.TOTP(secret), int(now.timestamp()) // STEP_SECONDS
    steps = [present + drift for drift in DRIFT]
    # All of them, whichever fits: time says nothing about the code.
    fits = [hmac.compare_digest(totp.generate_otp(step), code) for step in steps]
    return next((step for step, fit in zip(steps, fits, strict=True) if fit), None)


def _use_backup(user_id: UUID, plain: str, now: datetime) -> bool:
    unused = BackupCode.objects.filter(
        user_id=user_id, code_hash=_hash(user_id, plain), used_at=None
    )
    return unused.update(used_at=now) == 1


def _backup_code() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(BACKUP_LENGTH))


def _hash(user_id: UUID, code: str) -> str:
    """HMAC-SHA256 under a key of the hub: a stolen table gives no code away."""
    key = sealing.derive("backup_code")
    return hmac.new(key, f"{user_id}:{code}".encode(errors="replace"), hashlib.sha256).hexdigest()
