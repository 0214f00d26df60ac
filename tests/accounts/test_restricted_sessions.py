"""A session that is only for one thing: what it can do until that is done."""

from typing import Any, Final

import pytest
from django.test import Client

from accounts.choices import Restriction
from accounts.models import Session, User
from tests.accounts.factories import make_token

pytestmark = pytest.mark.django_db(transaction=True)
CODES: Final = {
    Restriction.PASSWORD: "auth.password_expired",
    Restriction.MFA: "auth.mfa_enrollment_required",
}
CLOSED: Final = [
    ("get", "/auth/sessions"),
    ("put", "/auth/me"),
    ("get", "/security/api-keys"),
    ("post", "/security/api-keys"),
    ("post", "/auth/step-up"),
    ("post", "/auth/mfa/disable"),
    ("post", "/auth/mfa/backup-codes"),
    ("get", "/tasks"),
]


@pytest.fixture(params=list(CODES))
def restriction(request: pytest.FixtureRequest) -> Restriction:
    """Each of them."""
    return Restriction(request.param)


def restricted(user: User, restriction: Restriction) -> Client:
    token = make_token(user)
    Session.objects.filter(user=user).update(restriction=restriction)
    return Client(headers={"Authorization": f"Bearer {token}"}, raise_request_exception=False)


def ask(client: Client, method: str, path: str) -> tuple[int, Any]:
    answer = getattr(client, method)(f"/api/v1{path}", content_type="application/json")
    return answer.status_code, answer.json().get("code")


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_what_lifts_nothing_is_closed(
    admin: User, restriction: Restriction, method: str, path: str
) -> None:
    client = restricted(admin, restriction)

    assert ask(client, method, path) == (403, CODES[restriction])


def test_another_restriction_is_not_lifted_by_the_way(admin: User) -> None:
    expired, lacking = Restriction.PASSWORD, Restriction.MFA

    assert ask(restricted(admin, expired), "post", "/auth/mfa/setup") == (403, CODES[expired])
    assert ask(restricted(admin, expired), "post", "/auth/mfa/verify") == (403, CODES[expired])
    answer = ask(restricted(admin, lacking), "post", "/auth/change-password")
    assert answer == (403, CODES[lacking])


def test_what_lifts_it_is_open_and_so_is_the_way_out(admin: User, restriction: Restriction) -> None:
    client = restricted(admin, restriction)
    way = {Restriction.PASSWORD: "/auth/change-password", Restriction.MFA: "/auth/mfa/verify"}

    assert ask(client, "post", way[restriction])[0] == 422
    assert ask(client, "get", "/auth/me")[0] == 200
    assert ask(client, "post", "/auth/logout")[0] == 200
    assert ask(client, "get", "/auth/me")[0] == 401
