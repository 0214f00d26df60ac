"""Mail to those who may decide: once, with a link, without what is asked for."""

from datetime import timedelta
from email import message_from_string
from email.policy import default
from ipaddress import ip_network
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from accounts.models import Organization, User
from approvals.models import Approval
from approvals.operations import mails
from kernel import clock
from kernel.actors import SYSTEM, Actor
from preferences import operations as preferences
from tests.approvals.factories import approve, ask, make_people, make_rule
from tests.peers.mail_server import MailPeer

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _loopback(settings: Settings) -> None:
    settings.HUB_OUTBOUND_ALLOW = (ip_network("127.0.0.0/8"),)
    settings.HUB_PUBLIC_URL = "https://hub.example.com"


def change(organization: Organization, **values: Any) -> None:
    preferences.change(
        organization_id=organization.pk,
        values={name.replace("__", "."): value for name, value in values.items()},
        actor=SYSTEM,
        now=clock.now(),
    )


def use(organization: Organization, peer: MailPeer) -> None:
    change(
        organization,
        email__smtp_host="127.0.0.1",
        email__smtp_port=peer.port,
        email__smtp_security="none",
    )


def test_each_of_those_who_may_decide_gets_one(
    organization: Organization, viewer: User, stranger: User
) -> None:
    make_rule(organization, min_approvals=2)
    first, second, requester = make_people(organization, 3)
    asker = Actor(type="agent", id="1", label="Deployer")
    with MailPeer() as peer:
        use(organization, peer)
        approval = ask(
            organization, requester=requester, actor=asker, arguments={"token": "x", "to": "prod"}
        )

        assert mails.write_to_deciders(now=clock.now()) == 2
        approve(approval, first)
        assert mails.write_to_deciders(now=clock.now()) == 0

    told = [message_from_string(mail.replace("\r\n", "\n"), policy=default) for mail in peer.mails]
    assert [mail["To"] for mail in told] == [first.email, second.email]
    assert {mail["From"] for mail in told} == {"agent-hub@hub.example.com"}
    assert told[0]["Subject"] == "Approval needed: execute_tool:deploy"
    text = told[0].get_content()
    assert text.startswith("Deployer asks for an approval: execute_tool:deploy\n")
    assert f"\nhttps://hub.example.com/admin/approvals/approval/{approval.pk}/\n" in text
    assert "prod" not in "".join(peer.mails)


def test_one_address_that_is_refused_keeps_no_other_from_its_mail(
    organization: Organization,
) -> None:
    first, second = make_people(organization, 2)
    with MailPeer() as peer:
        peer.refused = first.email
        use(organization, peer)
        ask(organization)

        mails.write_to_deciders(now=clock.now())

    (mail,) = peer.mails
    assert f"To: {second.email}" in mail


def test_nobody_is_written_to_who_does_not_want_it_or_too_late(
    organization: Organization, operator: User
) -> None:
    with MailPeer() as peer:
        use(organization, peer)
        late = ask(organization)
        assert mails.write_to_deciders(now=clock.now() + timedelta(days=1)) == 0
        change(organization, notifications__approval_mail=False)
        assert mails.write_to_deciders(now=clock.now()) == 0
        change(organization, notifications__approval_mail=True)
        assert mails.write_to_deciders(now=clock.now()) == 0

    late.refresh_from_db()
    assert late.mailed_at is not None
    assert peer.heard == []


def test_a_server_that_is_away_holds_up_no_other_organization(
    organization: Organization, other_organization: Organization
) -> None:
    make_people(organization, 1)
    (reader,) = make_people(other_organization, 1)
    with MailPeer() as gone:
        use(organization, gone)
    ask(organization)
    ask(organization)
    with MailPeer() as peer:
        use(other_organization, peer)
        ask(other_organization)

        assert mails.write_to_deciders(now=clock.now()) == 1

    assert f"To: {reader.email}" in peer.mails[0]
    assert Approval.objects.filter(mailed_at=None).count() == 1  # the next round's
