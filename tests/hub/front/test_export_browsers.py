"""The export for the console's own browser: by its cookie, from this hub's own pages alone."""

from typing import Final

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import IpRule, Session, User
from audit.models import AuditChain, AuditEvent
from kernel import clock
from tests.hub.front.peer import Front
from tests.hub.front.taking import ask, check

pytestmark = pytest.mark.django_db(transaction=True)
HERE: Final = {"Sec-Fetch-Site": "same-origin"}


def cookie_of(client: Client, user: User) -> dict[str, str]:
    """The cookie of a browser that is logged in to the console."""
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return {"Cookie": f"{name}={client.cookies[name].value}"}


def test_a_page_of_the_hub_downloads_it(
    front: Front, client: Client, admin: User, chain: AuditChain
) -> None:
    answer = ask(front, {**cookie_of(client, admin), **HERE})

    report = check(answer.content)
    assert (answer.status_code, report.rows, report.fault) == (200, chain.position, None)
    assert answer.headers["content-disposition"].startswith("attachment; ")
    taken = AuditEvent.objects.get(action="audit.export")
    assert (taken.actor, taken.ip_address) == (f"user:{admin.pk}", "127.0.0.1")


def test_without_fetch_metadata_the_sender_is_looked_at(
    front: Front, client: Client, admin: User, chain: AuditChain
) -> None:
    cookie = cookie_of(client, admin)
    here = f"http://127.0.0.1:{front.port}/admin/audit-export/"

    answer = ask(front, {**cookie, "Referer": here})
    elsewhere = ask(front, {**cookie, "Referer": "http://example.com/"})

    assert check(answer.content).rows == chain.position
    assert elsewhere.status_code == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", ""])
def test_the_cookie_counts_on_no_other_sites_request(
    front: Front, client: Client, admin: User, chain: AuditChain, site: str
) -> None:
    own = f"http://127.0.0.1:{front.port}/"
    headers = {**cookie_of(client, admin), "Sec-Fetch-Site": site, "Referer": own}

    answer = ask(front, headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "auth.required")
    assert not AuditEvent.objects.filter(action="audit.export").exists()


def test_a_token_goes_before_the_cookie(
    front: Front, client: Client, admin: User, chain: AuditChain
) -> None:
    answer = ask(front, {**cookie_of(client, admin), **HERE, "X-API-Key": "ahk_nonsense"})

    assert (answer.status_code, answer.json()["code"]) == (401, "auth.token_refused")


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("logout", "auth.token_refused"),
        ("restriction", "auth.mfa_enrollment_required"),
        ("rule", "auth.address_refused"),
        ("nonsense", "auth.token_refused"),
    ],
)
def test_who_may_not_have_it_is_led_back_to_the_page(
    front: Front, client: Client, admin: User, end: str, code: str
) -> None:
    cookie = cookie_of(client, admin)
    if end == "logout":
        Session.objects.update(revoked_at=clock.now())
    elif end == "restriction":
        Session.objects.update(restriction="mfa")
    elif end == "rule":
        IpRule.objects.create(
            organization=admin.organization, cidr="127.0.0.0/8", action="deny", position=0
        )
    else:
        cookie = {"Cookie": f"{settings.SESSION_COOKIE_NAME}=nonsense"}

    answer = ask(front, {**cookie, **HERE})

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/admin/audit-export/?refused={code}"


def test_an_operator_is_led_back(
    front: Front, client: Client, operator: User, chain: AuditChain
) -> None:
    answer = ask(front, {**cookie_of(client, operator), **HERE})

    assert answer.headers["location"] == "/admin/audit-export/?refused=permission.denied"
    assert AuditEvent.objects.get(action="audit.export").status == "denied"


def test_a_host_that_is_not_the_hubs_proves_nothing(
    front: Front, client: Client, admin: User, chain: AuditChain
) -> None:
    forged = {"Host": "evil.example.com", "Origin": "http://evil.example.com"}

    for proof in ({}, HERE):
        answer = ask(front, {**cookie_of(client, admin), **forged, **proof})

        assert answer.status_code == 401
