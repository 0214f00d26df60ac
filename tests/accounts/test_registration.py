"""Strangers who register: off, unless an organization lets them."""

from typing import Any, Final

import pytest

from accounts.models import Organization, User
from audit.models import AuditEvent
from tests.accounts.factories import PASSWORD, set_policy
from tests.clients import ApiClient
from tests.footprint import footprint

pytestmark = pytest.mark.django_db(transaction=True)
REGISTER: Final = "/api/v1/auth/register"


def register(**values: Any) -> Any:
    body = {"email": "new@example.com", "password": "Nine boats, 1 harbour", **values}
    return ApiClient().post(REGISTER, body)


def test_it_is_closed_by_default(organization: Organization) -> None:
    before = footprint()

    answer = register()

    assert (answer.status_code, answer.json()["code"]) == (403, "auth.registration_closed")
    assert footprint() == before


def test_whoever_registers_is_a_viewer_and_may_log_in(organization: Organization) -> None:
    set_policy(organization, registration_enabled=True)

    answer = register(full_name="Ada", role="admin", is_active=False)

    body = answer.json()
    assert answer.status_code == 201
    assert (body["email"], body["full_name"], body["role"], body["is_active"]) == (
        "new@example.com",
        "Ada",
        "viewer",
        True,
    )
    assert body["organization_id"] == str(organization.pk)
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.actor_type) == ("user.create", "anonymous")
    login = {"email": "new@example.com", "password": "Nine boats, 1 harbour"}
    assert ApiClient().post("/api/v1/auth/login", login).status_code == 200


def test_where_there_are_several_it_takes_the_name(
    organization: Organization, other_organization: Organization
) -> None:
    set_policy(organization, registration_enabled=True)

    nameless, named = register(), register(organization=organization.slug)
    closed = register(email="b@example.com", organization=other_organization.slug)
    unknown = register(email="c@example.com", organization="nobody")

    assert (nameless.status_code, named.status_code) == (403, 201)
    del (first := closed.json())["request_id"], (second := unknown.json())["request_id"]
    assert (closed.status_code, first) == (403, second)
    assert User.objects.get(email="new@example.com").organization == organization


def test_an_organization_that_was_disabled_takes_nobody(organization: Organization) -> None:
    set_policy(organization, registration_enabled=True)
    Organization.objects.update(is_active=False)

    assert register().status_code == 403


def test_an_address_is_given_once(organization: Organization, viewer: User) -> None:
    set_policy(organization, registration_enabled=True)
    before = footprint()

    answer = register(email=viewer.email.upper())

    assert (answer.status_code, answer.json()["code"]) == (409, "user.email_taken")
    assert footprint() == before


@pytest.mark.parametrize(
    "values",
    [
        {"email": "nobody"},
        {"email": "x" * 250 + "@example.com"},
        {"password": ""},
        {"password": "weak"},
        {"password": PASSWORD + "x" * 1024},
        {"full_name": "x" * 256},
        {"organization": "no slug!"},
        {"organization": ["x"]},
    ],
)
def test_what_is_malformed_or_weak_is_422(
    organization: Organization, values: dict[str, Any]
) -> None:
    set_policy(organization, registration_enabled=True)
    before = footprint()

    assert register(**values).status_code == 422
    assert footprint() == before
