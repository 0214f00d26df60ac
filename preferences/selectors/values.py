"""What counts for an organization now: its own settings over the defaults."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import OuterRef, Subquery

from kernel import redaction, sealing
from kernel.fingerprints import Hasher, Mark
from preferences.choices import CATEGORIES, Setting, catalogue
from preferences.errors import SecretUnreadable, UnknownSetting
from preferences.models import StoredSetting

PURPOSE: Final = "settings"
SHOWN: Final = 4  # characters of a secret at either end
LONG_ENOUGH: Final = 12
HIDDEN: Final = "********"


class Values(Mapping[str, Any]):
    """Settings by key, each in the type its catalogue entry names; KeyError for an unknown key.

    Secrets are opened one by one, when asked for. A stored value that the catalogue no longer
    accepts (its bounds were tightened) counts as the default.
    """

    def __init__(self, stored: Mapping[str, StoredSetting]) -> None:
        self._stored = stored

    def __getitem__(self, key: str) -> Any:
        """Raises SecretUnreadable for a secret of another hub key."""
        setting, row = catalogue()[key], self._stored.get(key)
        if row is None:
            return setting.default_value()
        with suppress(ValueError):
            return setting.parse(_plain(row) if setting.secret else row.value)
        return setting.default_value()

    def __iter__(self) -> Iterator[str]:
        return iter(catalogue())

    def __len__(self) -> int:
        return len(catalogue())

    def is_default(self, key: str) -> bool:
        """Whether the organization left it as it is."""
        return key not in self._stored

    def changed_at(self, key: str) -> datetime | None:
        """When the organization last set it; None while it is the default."""
        return self._stored[key].updated_at if key in self._stored else None

    def shown(self, key: str) -> Any:
        """The value as people may see it: a secret masked, or None when there is none."""
        setting = catalogue()[key]
        if not setting.secret:
            return self[key]
        with suppress(SecretUnreadable):
            return mask(self[key]) if self[key] else None
        return HIDDEN


def read(*, organization_id: UUID | None) -> Values:
    """The settings of an organization, in one query; those of nobody (None) are the defaults."""
    if organization_id is None:
        return Values({})
    rows = StoredSetting.objects.filter(organization_id=organization_id)
    return Values({row.key: row for row in rows})


def along(*, key: str, organization: str) -> Subquery:
    """What is stored of one setting as a column (`accepted` reads it) of a query whose field
    `organization` says of whom: whoever looks up a caller needs no other query for it."""
    rows = StoredSetting.objects.filter(organization_id=OuterRef(organization), key=key)
    return Subquery(rows.values("value")[:1])


def accepted(*, key: str, stored: Any) -> Any:
    """The value that counts where `stored` is what `along` found."""
    setting = catalogue()[key]
    with suppress(ValueError):
        return setting.default_value() if stored is None else setting.parse(stored)
    return setting.default_value()


def describe(*, organization_id: UUID) -> dict[str, dict[str, Any]]:
    """What people see of the settings, by category and name; secrets masked."""
    found = read(organization_id=organization_id)
    shown: dict[str, dict[str, Any]] = {category: {} for category in CATEGORIES}
    for key, setting in catalogue().items():
        shown.setdefault(setting.category, {})[setting.name] = {
            "value": found.shown(key),
            "description": setting.description,
            "type": setting.kind,
            "choices": setting.choices,
            "minimum": setting.minimum,
            "maximum": setting.maximum,
            "is_secret": setting.secret,
            "is_default": found.is_default(key),
        }
    return shown


def get_setting(*, key: str) -> Setting:
    """The catalogue's entry; raises UnknownSetting."""
    try:
        return catalogue()[key]
    except KeyError:
        raise UnknownSetting from None


def mask(secret: str) -> str:
    """First four … last four characters; nothing of a secret that is too short for that."""
    if len(secret) < LONG_ENOUGH:
        return HIDDEN
    return f"{secret[:SHOWN]}…{secret[-SHOWN:]}"


def list_marks(organization_id: UUID, hasher: Hasher) -> Iterator[Mark]:
    """By which the organization's secret settings are recognised in texts."""
    found = read(organization_id=organization_id)
    for key, setting in catalogue().items():
        if setting.secret and not found.is_default(key):
            with suppress(SecretUnreadable):
                yield from hasher.marks_of(found[key])


def place(*, organization_id: UUID, key: str) -> str:
    """Where a sealed value belongs: copied to another organization or setting it does not open."""
    return f"{organization_id}:{key}"


def _plain(row: StoredSetting) -> str:
    where = place(organization_id=row.organization_id, key=row.key)
    try:
        plain = sealing.unseal(bytes(row.sealed_value or b""), purpose=PURPOSE, place=where)
    except sealing.SealBroken:
        raise SecretUnreadable from None
    redaction.note_opened(plain.decode())
    return plain.decode()
