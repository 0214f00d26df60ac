"""What a provider that has all the time in the world costs: its organization's logins, no more."""

from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import ExitStack
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connections
from django.test import Client

from accounts.models import Organization
from audit.models import AuditEvent
from sso.clients import documents
from sso.clients.documents import Line
from sso.clients.places import PER_ORGANIZATION, PER_PROCESS, Places
from sso.errors import ProviderBusy
from sso.models import PendingLogin
from sso.operations import checks
from tests.peers.oidc_provider.crooked import Crooked
from tests.peers.slow_server import Slow, slow_server
from tests.sso import factories
from tests.sso.conftest import START, Program, asked
from tests.threads import Pool

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def silent() -> Iterator[Slow]:
    """A provider that takes connections and says nothing."""
    with slow_server("silent") as found:
        yield found


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a provider waits until the test is done."""
    monkeypatch.setattr(documents, "CALL_SECONDS", 20.0)
    monkeypatch.setattr(documents, "BUDGET_SECONDS", 20.0)


def outcome(answer: Any) -> tuple[int, Any]:
    return answer.status_code, answer.json().get("code")


def start(organization: Organization) -> Any:
    """A stranger's request, on a thread of its own."""
    try:
        return Client().post(
            START, {"organization": organization.slug}, content_type="application/json"
        )
    finally:
        connections.close_all()


@pytest.mark.parametrize("manner", ["headers", "body", "silent"])
def test_a_login_takes_as_long_as_a_call_may(
    program: Program, organization: Organization, manner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "CALL_SECONDS", 0.6)
    with slow_server(manner) as slow:
        factories.connect(organization, slow.issuer)

        answer = program.start(organization=organization.slug)

        assert outcome(answer) == (503, "sso.provider_unavailable")
        slow.wait_for(0)
        assert slow.finished == 0
    assert "127.0.0.1" not in answer.content.decode()


def test_a_provider_that_failed_is_not_asked_again_for_a_while(
    program: Program,
    organization: Organization,
    silent: Slow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(documents, "CALL_SECONDS", 0.3)
    factories.connect(organization, silent.issuer)

    answers = [program.start(organization=organization.slug).status_code for _ in range(3)]

    assert (answers, silent.accepted) == ([503] * 3, 1)
    assert not checks.check_provider(organization_id=organization.pk).ok
    assert silent.accepted == 2
    monkeypatch.setattr(documents._failed, "_seconds", 0)
    assert program.start(organization=organization.slug).status_code == 503
    assert silent.accepted == 3


def test_a_check_that_finds_it_well_again_counts_at_once(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    liar.status = 500
    assert program.start(organization=deceived.slug).status_code == 503
    liar.status = 200
    assert program.start(organization=deceived.slug).status_code == 503

    assert checks.check_provider(organization_id=deceived.pk).ok

    assert program.start(organization=deceived.slug).status_code == 200


def test_keys_that_failed_are_not_asked_for_again(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    liar.keys = None  # type: ignore[assignment]

    assert [program.lied_to(deceived, liar).status_code for _ in range(2)] == [503, 503]

    assert liar.asked("/keys") == 1


def test_one_organization_cannot_make_the_address_of_another_fail(
    program: Program, deceived: Organization, other_organization: Organization, liar: Crooked
) -> None:
    factories.connect(other_organization, liar.issuer)
    liar.status = 500
    assert program.start(organization=deceived.slug).status_code == 503
    liar.status = 200

    assert program.start(organization=other_organization.slug).status_code == 200


@pytest.mark.usefixtures("_patient")
def test_many_logins_at_a_silent_provider_leave_the_hub_to_others(
    program: Program,
    organization: Organization,
    other_organization: Organization,
    silent: Slow,
    liar: Crooked,
) -> None:
    factories.connect(organization, silent.issuer)
    factories.connect(other_organization, liar.issuer)

    with Pool(13) as pool:
        asking = [pool.submit(start, organization) for _ in range(13)]
        while len(refused := [each for each in asking if each.done()]) < 13 - PER_ORGANIZATION:
            wait([each for each in asking if not each.done()], 20, "FIRST_COMPLETED")
        silent.wait_for(PER_ORGANIZATION)

        # 13 strangers wait or were refused; somebody of another organization goes on.
        assert program.start(organization=other_organization.slug).status_code == 200
        report = checks.check_provider(organization_id=organization.pk)
        silent.released.set()
        answers = [each.result(20) for each in refused]

    assert report.lines == [ProviderBusy.message]
    assert {outcome(answer) for answer in answers} == {(503, "sso.provider_busy")}
    assert {answer["Retry-After"] for answer in answers} == {"5"}
    assert (silent.peak, silent.accepted) == (PER_ORGANIZATION, PER_ORGANIZATION)
    assert program.start(organization=organization.slug).json()["code"] != "sso.provider_busy"


def test_a_login_that_finds_no_place_is_good_a_moment_later(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    begun = program.begin(deceived)
    liar.claims["nonce"] = asked(begun["authorization_url"])["nonce"]
    answer = {"state": begun["state"], "code": "a code"}

    with Line(deceived.pk).hold(), Line(deceived.pk).hold():
        refused = program.finish(**answer)
        kept = program.start(organization=deceived.slug)

    assert outcome(refused) == (503, "sso.provider_busy")
    assert kept.status_code == 200  # nothing had to be asked
    assert not AuditEvent.objects.filter(action="auth.oidc_login").exists()
    assert program.finish(**answer).status_code == 200
    assert PendingLogin.objects.count() == 1


def test_organizations_together_have_so_many_places() -> None:
    places = Places()

    def take(stack: ExitStack, organization_id: UUID) -> None:
        stack.enter_context(places.one(organization_id))

    with ExitStack() as stack:
        for _ in range(PER_PROCESS):
            take(stack, uuid4())
        with pytest.raises(ProviderBusy) as refused:
            take(stack, uuid4())
    with ExitStack() as stack:
        take(stack, uuid4())

    assert refused.value.data == {"retry_after_seconds": 5}
    assert len(places._taken) == 0
