"""Encryption at rest under the hub's own key, for the few secrets that the hub must read again.

What only has to be recognised (API keys, backup codes) is hashed instead. Envelope encryption with
key providers is the vault's.
"""

import secrets
from functools import cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

VERSION: Final = b"\x01"
NONCE_BYTES: Final = 12


class SealBroken(Exception):
    """The bytes were sealed under another key or for another place, or were altered."""


def seal(plaintext: bytes, *, purpose: str, place: str) -> bytes:
    """`plaintext` under AES-256-GCM with a key of its own for `purpose`.

    `place` (the row's id) is authenticated with it: moved to another row it opens no more.
    """
    nonce = secrets.token_bytes(NONCE_BYTES)
    return VERSION + nonce + AESGCM(derive(purpose)).encrypt(nonce, plaintext, place.encode())


def unseal(sealed: bytes, *, purpose: str, place: str) -> bytes:
    """What was sealed; raises SealBroken."""
    sealed = bytes(sealed)
    if sealed[:1] != VERSION:
        raise SealBroken
    nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    try:
        return AESGCM(derive(purpose)).decrypt(nonce, body, place.encode())
    except (InvalidTag, ValueError):
        raise SealBroken from None


def derive(purpose: str) -> bytes:
    """32 bytes that depend on the hub's secret key and `purpose` alone (HKDF-SHA256, RFC 5869)."""
    return _derive(settings.SECRET_KEY, purpose)


@cache
def _derive(secret_key: str, purpose: str) -> bytes:
    derivation = HKDF(hashes.SHA256(), length=32, salt=None, info=f"agent-hub:{purpose}".encode())
    return derivation.derive(secret_key.encode())
