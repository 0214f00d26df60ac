"""What the operator of the machine and the scheduler do with identities and pending logins."""

from datetime import timedelta

import pytest
import time_machine
from django.core.management import CommandError, call_command

from accounts.models import Organization, User
from audit.models import AuditEvent
from kernel import clock
from sso.models import Identity, PendingLogin
from sso.tasks import forget_logins
from tests.peers.oidc_provider.crooked import Crooked
from tests.sso import factories
from tests.sso.conftest import Program

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_user_is_unlinked(viewer: User, capsys: pytest.CaptureFixture[str]) -> None:
    factories.link(viewer, "https://login.example.com", "somebody")

    call_command("unlink_identity", viewer.email.upper())

    assert "had 1 of them" in capsys.readouterr().out
    assert not Identity.objects.exists()
    event = AuditEvent.objects.get(action="identity.unlink")
    assert (event.resource_id, event.details) == (str(viewer.pk), {"count": 1})


def test_nobody_is_unlinked_by_a_slip(db: None) -> None:
    with pytest.raises(CommandError, match="Nobody has the e-mail"):
        call_command("unlink_identity", "nobody@example.com")


def test_the_sweep_leaves_logins_that_may_still_come_back(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    program.begin(deceived)
    forget_logins()
    assert PendingLogin.objects.count() == 1

    with time_machine.travel(clock.now() + timedelta(minutes=11)):
        forget_logins()

    assert PendingLogin.objects.count() == 0
