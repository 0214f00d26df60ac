"""One refresh token, used twice at once."""

from functools import partial
from typing import Any

import pytest

from accounts.errors import RefreshReused, TokenRefused
from accounts.models import Session
from accounts.operations import sessions
from audit.models import AuditEvent
from kernel import clock
from tests.accounts.factories import log_in, make_organization, make_user
from tests.threads import race


@pytest.mark.django_db(transaction=True)
def test_a_refresh_token_used_twice_at_once_ends_its_session() -> None:
    user = make_user(make_organization())
    first = log_in(user)
    use: Any = partial(sessions.refresh, token=first.refresh, now=clock.now())

    outcomes = race(use, use, use)

    winners = [o for o in outcomes if isinstance(o, sessions.Tokens)]
    assert len(winners) == 1
    assert {type(o) for o in outcomes if o not in winners} <= {RefreshReused, TokenRefused}
    assert Session.objects.get().revoked_at is not None
    assert AuditEvent.objects.filter(action="auth.refresh_reused").exists()
    with pytest.raises(TokenRefused):
        sessions.refresh(token=winners[0].refresh, now=clock.now())
