"""Changing settings, and what counts afterwards."""

from functools import partial
from typing import Any

import pytest

from accounts.models import Organization, User
from audit.models import AuditEvent
from kernel import clock, permissions
from kernel.errors import Invalid
from preferences import operations
from preferences.choices import Setting, catalogue, register
from preferences.errors import SecretUnreadable, UnknownSetting
from preferences.models import StoredSetting
from preferences.selectors import values
from tests.accounts.factories import make_actor
from tests.threads import race

LENGTH = "security.password_min_length"
MFA = "security.mfa_required"
KEY = "llm.openai_api_key"


def change(user: User, **given: Any) -> int:
    asked = {key.replace("__", "."): value for key, value in given.items()}
    return operations.change(
        organization_id=user.organization_id,
        values=asked,
        actor=make_actor(user),
        now=clock.now(),
    )


def test_what_nobody_set_is_the_default(organization: Organization) -> None:
    found = values.read(organization_id=organization.pk)

    assert (found[LENGTH], found[MFA], found.is_default(LENGTH)) == (12, False, True)


def test_a_change_counts_for_its_organization_alone(
    admin: User, other_organization: Organization
) -> None:
    assert change(admin, security__password_min_length=16, security__mfa_required="true") == 2

    mine = values.read(organization_id=admin.organization_id)
    theirs = values.read(organization_id=other_organization.pk)
    assert (mine[LENGTH], mine[MFA], mine.is_default(LENGTH)) == (16, True, False)
    assert (theirs[LENGTH], theirs[MFA]) == (12, False)
    assert values.read(organization_id=None)[LENGTH] == 12


def test_reading_is_one_query(admin: User, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        found = values.read(organization_id=admin.organization_id)
        assert found[LENGTH] == 12


def test_null_resets(admin: User) -> None:
    change(admin, security__password_min_length=16)

    change(admin, security__password_min_length=None)

    assert not StoredSetting.objects.exists()


def test_an_unknown_key_changes_nothing(admin: User) -> None:
    with pytest.raises(UnknownSetting):
        change(admin, security__password_min_length=16, security__nonsense=1)

    assert not StoredSetting.objects.exists()
    assert not AuditEvent.objects.filter(action="settings.update").exists()


@pytest.mark.parametrize("value", [7, 65, "many", "", True, 12.5, [], {}, "9" * 30, "²"], ids=repr)
def test_a_bad_value_changes_nothing(admin: User, value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        change(admin, security__password_min_length=value, security__mfa_required=True)

    assert [field["field"] for field in refused.value.fields] == [LENGTH]
    assert not StoredSetting.objects.exists()


def test_each_change_is_audited_with_old_and_new(admin: User) -> None:
    change(admin, security__password_min_length=16)
    change(admin, security__password_min_length=16)  # nothing to say
    change(admin, security__password_min_length=None)

    rows = AuditEvent.objects.filter(action="settings.update").order_by("pk")
    assert [row.details for row in rows] == [
        {"old": 12, "new": 16, "reset": False},
        {"old": 16, "new": 12, "reset": True},
    ]
    assert {row.resource_id for row in rows} == {LENGTH}


def test_a_value_out_of_new_bounds_counts_as_the_default(admin: User) -> None:
    StoredSetting.objects.create(organization_id=admin.organization_id, key=LENGTH, value=2)

    assert values.read(organization_id=admin.organization_id)[LENGTH] == 12


def test_those_who_remember_are_told(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(
        operations, "CHANGED", [lambda owner, keys, _now: told.append((owner, keys))]
    )

    change(admin, security__password_min_length=16)
    change(admin, security__password_min_length=16)

    assert told == [(admin.organization_id, frozenset({LENGTH}))]


def test_twins_are_refused() -> None:
    twin = Setting(key=LENGTH, kind="string", default="", description="Another.")

    with pytest.raises(ValueError, match="already registered"):
        register(twin)

    assert catalogue()[LENGTH].kind == "integer"


def test_every_setting_names_a_permission_and_security_its_own() -> None:
    for key, setting in catalogue().items():
        assert setting.permission in permissions.catalogue()
        assert (setting.permission == "security.edit") is key.startswith("security.")


def test_every_default_is_valid() -> None:
    for setting in catalogue().values():
        assert setting.parse(setting.default_value()) == setting.default_value()


class TestSecrets:
    def test_they_are_sealed_masked_and_in_no_audit_row(self, admin: User) -> None:
        change(admin, llm__openai_api_key="sk-0123456789abcdef")

        row = StoredSetting.objects.get()
        found = values.read(organization_id=admin.organization_id)
        assert row.value is None
        assert b"0123456789" not in bytes(row.sealed_value or b"")
        assert found[KEY] == "sk-0123456789abcdef"
        assert found.shown(KEY) == "sk-0…cdef"
        assert AuditEvent.objects.get(action="settings.update").details == {"reset": False}

    def test_short_ones_are_masked_whole(self, admin: User) -> None:
        change(admin, llm__openai_api_key="short-key-1")

        found = values.read(organization_id=admin.organization_id)
        assert found.shown(KEY) == values.HIDDEN

    def test_those_of_another_organization_do_not_open(
        self, admin: User, other_organization: Organization
    ) -> None:
        change(admin, llm__openai_api_key="sk-0123456789abcdef")
        StoredSetting.objects.update(organization_id=other_organization.pk)

        found = values.read(organization_id=other_organization.pk)
        with pytest.raises(SecretUnreadable):
            found[KEY]
        assert found.shown(KEY) == values.HIDDEN

    def test_a_key_that_no_header_can_carry_is_refused(self, admin: User) -> None:
        with pytest.raises(Invalid):
            change(admin, llm__openai_api_key="sk-0123456789äöü")

    def test_an_empty_one_is_none(self, admin: User) -> None:
        change(admin, llm__openai_api_key="sk-0123456789abcdef")
        change(admin, llm__openai_api_key="")

        assert not StoredSetting.objects.exists()


@pytest.mark.parametrize(
    ("kind", "sent", "value"),
    [
        ("string", "  a b ", "a b"),
        ("integer", "12", 12),
        ("integer", "-12", -12),
        ("number", "1.5", 1.5),
        ("number", 2, 2.0),
        ("boolean", "FALSE", False),
        ("list", ["a", " b "], ["a", "b"]),
    ],
)
def test_values_are_understood(kind: Any, sent: Any, value: Any) -> None:
    setting = Setting(key="a.b", kind=kind, default=None, description="A.")

    assert setting.parse(sent) == value


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("string", 1),
        ("string", "a\nb"),
        ("string", "x" * 2001),
        ("number", "nan"),
        ("number", float("inf")),
        ("number", True),
        ("number", None),
        ("number", 10**400),
        ("boolean", 1),
        ("boolean", "yes"),
        ("list", "a"),
        ("list", [1]),
        ("list", ["a"] * 201),
    ],
)
def test_others_are_refused(kind: Any, sent: Any) -> None:
    with pytest.raises(ValueError, match="Send"):
        Setting(key="a.b", kind=kind, default=None, description="A.").parse(sent)


@pytest.mark.django_db(transaction=True)
def test_of_two_changes_at_once_each_tells_what_it_found(admin: User) -> None:
    race(*[partial(change, admin, security__password_min_length=n) for n in (16, 18, 20)])

    rows = AuditEvent.objects.filter(action="settings.update").order_by("occurred_at", "pk")
    steps = {row.details["old"]: row.details["new"] for row in rows}
    found = [12]
    while found[-1] in steps:
        found.append(steps[found[-1]])
    assert len(found) == 4
    assert values.read(organization_id=admin.organization_id)[LENGTH] == found[-1]


MAIL = {"email__smtp_host": "mail.example.com", "email__smtp_password": "secret"}


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"email__smtp_host": "evil.example.com"},
        {"email__smtp_host": None},
        {"email__smtp_port": 2525},
        {"email__smtp_security": "none"},
    ],
)
def test_a_secret_does_not_follow_its_server(admin: User, elsewhere: dict[str, Any]) -> None:
    """Else whoever may replace a secret could read it, by naming another receiver."""
    change(admin, **MAIL)

    change(admin, **elsewhere)

    assert values.read(organization_id=admin.organization_id)["email.smtp_password"] == ""
    newest = AuditEvent.objects.filter(action="settings.update").order_by("-pk")[:2]
    assert {"email.smtp_password"} < {event.resource_id for event in newest}


@pytest.mark.parametrize(
    "change_of",
    [
        {"email__smtp_host": "new.example.com", "email__smtp_password": "other"},
        {"email__smtp_username": "hub"},
        {"email__smtp_port": 587},
    ],
)
def test_it_stays_with_one_that_is_given_anew_or_that_stays(
    admin: User, change_of: dict[str, Any]
) -> None:
    change(admin, **MAIL)

    change(admin, **change_of)

    kept = values.read(organization_id=admin.organization_id)["email.smtp_password"]
    assert kept == change_of.get("email__smtp_password", "secret")


def test_it_may_be_given_before_its_server(admin: User) -> None:
    change(admin, email__smtp_password="secret")
    change(admin, email__smtp_host="mail.example.com")

    assert values.read(organization_id=admin.organization_id)["email.smtp_password"] == "secret"
