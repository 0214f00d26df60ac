"""Names, limits and permissions of the vault."""

from datetime import timedelta
from typing import Final

from kernel.permissions import Permission

PERMISSIONS: Final = (
    Permission("secret.read", "Secrets", "See which secrets there are, without their values."),
    Permission("secret.edit", "Secrets", "Store, rotate and delete secrets."),
)
# The key under which values are sealed (`kernel.sealing`).
PURPOSE: Final = "secrets_vault"
NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
NAME_RULE: Final = "Use letters, digits and . _ - (at most 64), a letter or digit first."
MOST_BYTES: Final = 64_000
# The same use of the same version is on record once in this time, however often it happens.
USE_EVERY: Final = timedelta(hours=1)
