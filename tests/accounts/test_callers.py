"""Who calls is remembered, and every change counts for the next request: whoever makes it."""

import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from accounts.choices import UserRole
from accounts.clients import stamps
from accounts.errors import RefreshReused, TokenRefused
from accounts.models import Session, User
from accounts.operations import callers, passwords, profile, sessions
from accounts.selectors import sessions as sessions_selectors
from kernel import clock, redis_client
from tests.accounts import factories
from tests.accounts.factories import log_in, make_actor, make_token, make_user
from tests.clients import ApiClient
from tests.threads import Pool

pytestmark = pytest.mark.django_db(transaction=True)
NEW_PASSWORD: Final = "Another long walk, 8 miles of harbour"


class Process:
    """Another web process, as far as this matters: a memory of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._memory = callers._Memory()
        self._monkeypatch = monkeypatch

    def identify(self, token: str, now: datetime | None = None) -> callers.Caller:
        with self._monkeypatch.context() as patched:
            patched.setattr(callers, "_memory", self._memory)
            return callers.identify(token=token, now=now or clock.now())


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Process:
    return Process(monkeypatch)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Process:
    return Process(monkeypatch)


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """No test begins while an earlier one's silence towards Redis lasts."""
    stamps._silence.until = 0.0
    yield
    stamps._silence.until = 0.0


def queries_of(act: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as queries:
        act()
    return len(queries)


def is_refused(process: Process, token: str) -> bool:
    try:
        process.identify(token)
    except TokenRefused:
        return True
    return False


def test_a_second_request_asks_no_database(admin: User, here: Process, there: Process) -> None:
    token = make_token(admin)

    assert queries_of(lambda: here.identify(token)) == 1
    assert queries_of(lambda: here.identify(token)) == 0
    assert queries_of(lambda: there.identify(token)) == 1


def test_a_remembered_caller_is_the_one_that_was_read(admin: User, here: Process) -> None:
    token = make_token(admin)

    read, remembered = here.identify(token), here.identify(token)

    assert remembered.session_id == read.session_id == Session.objects.get().pk
    assert (remembered.user, remembered.user.email) == (admin, admin.email)
    assert remembered.user.get_deferred_fields() == {"password", "last_login"}
    assert remembered.user.has_perm("user_role.edit")


def test_what_a_view_does_to_its_user_stays_there(admin: User, here: Process) -> None:
    token = make_token(admin)
    here.identify(token)

    here.identify(token).user.full_name = "Somebody else"

    assert here.identify(token).user.full_name == admin.full_name


def end_session(user: User, token: str) -> None:
    session = sessions_selectors.get_session(token=token, now=clock.now())
    sessions.log_out(session_id=session.pk, actor=make_actor(user), now=clock.now())


def log_out_over_http(_: User, token: str) -> None:
    bearer = {"Authorization": f"Bearer {token}"}
    answer = Client().post("/api/v1/auth/logout", "", "application/json", headers=bearer)
    assert answer.status_code == 200


def set_password(user: User, token: str) -> None:
    passwords.set_password(
        user=user, password=NEW_PASSWORD, actor=make_actor(user), now=clock.now()
    )


@pytest.mark.parametrize("end", [end_session, log_out_over_http, set_password])
def test_an_ended_session_is_refused_by_every_process_at_once(
    admin: User, here: Process, there: Process, end: Callable[[User, str], None]
) -> None:
    token = make_token(admin)
    here.identify(token)
    there.identify(token)

    end(admin, token)

    assert is_refused(here, token)
    assert is_refused(there, token)


def test_a_refresh_token_that_comes_back_ends_the_session_everywhere(
    admin: User, here: Process, there: Process
) -> None:
    first = log_in(admin)
    second = sessions.refresh(token=first.refresh, now=clock.now())
    for process in (here, there):
        process.identify(first.access)
        process.identify(second.access)

    with pytest.raises(RefreshReused):
        sessions.refresh(token=first.refresh, now=clock.now())

    for process in (here, there):
        assert is_refused(process, first.access)
        assert is_refused(process, second.access)


def test_a_new_name_is_shown_by_every_process(admin: User, there: Process) -> None:
    token = make_token(admin)
    there.identify(token)

    profile.rename_user(user=admin, full_name="Ada", actor=make_actor(admin), now=clock.now())

    assert there.identify(token).user.full_name == "Ada"


def test_others_of_the_organization_stay_logged_in(admin: User, here: Process) -> None:
    mine, other = make_token(admin), make_token(make_user(admin.organization))
    here.identify(other)

    end_session(admin, mine)

    assert queries_of(lambda: here.identify(other)) == 1
    assert queries_of(lambda: here.identify(other)) == 0


def test_another_organization_is_not_asked_anew(admin: User, stranger: User, here: Process) -> None:
    mine, foreign = make_token(admin), make_token(stranger)
    here.identify(foreign)

    end_session(admin, mine)

    assert queries_of(lambda: here.identify(foreign)) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
        lambda user: type(user.organization).objects.update(is_active=False),
        lambda _: Session.objects.update(revoked_at=clock.now()),
        lambda user: user.delete(),
    ],
)
def test_a_change_behind_the_operations_counts_within_ten_seconds(
    admin: User, here: Process, change: Callable[[User], Any]
) -> None:
    token = make_token(admin)
    now = clock.now()
    here.identify(token, now)

    change(admin)

    here.identify(token, now + callers.KEPT - timedelta(milliseconds=1))
    with pytest.raises(TokenRefused):
        here.identify(token, now + callers.KEPT)


def test_a_clock_that_was_set_back_keeps_nothing_longer(admin: User, here: Process) -> None:
    token = make_token(admin, now=clock.now() - timedelta(minutes=10))
    here.identify(token, clock.now())

    assert queries_of(lambda: here.identify(token, clock.now() - timedelta(minutes=5))) == 1


def test_a_session_that_expires_is_refused_while_it_is_remembered(
    admin: User, here: Process
) -> None:
    token = make_token(admin)
    now = clock.now()
    Session.objects.update(expires_at=now + timedelta(seconds=5))
    here.identify(token, now)

    here.identify(token, now + timedelta(seconds=4))
    with pytest.raises(TokenRefused):
        here.identify(token, now + timedelta(seconds=5))


def test_a_token_that_expires_is_asked_about_again(admin: User, here: Process) -> None:
    now = clock.now()
    token = make_token(admin, now=now - timedelta(minutes=30) + timedelta(seconds=3))
    here.identify(token, now)

    # The library that refuses it has a clock of its own; here it counts that nothing is remembered.
    assert queries_of(lambda: here.identify(token, now + timedelta(seconds=2))) == 0
    assert queries_of(lambda: here.identify(token, now + timedelta(seconds=3))) == 1


def test_a_revocation_between_stamp_and_rows_is_not_overlooked(
    admin: User, here: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = make_token(admin)
    read = sessions_selectors.get_session

    def then_revoke(**asked: Any) -> Session:
        session = read(**asked)
        monkeypatch.setattr(sessions_selectors, "get_session", read)
        end_session(admin, token)
        return session

    monkeypatch.setattr(sessions_selectors, "get_session", then_revoke)
    here.identify(token)  # what it read was true when it was read

    assert is_refused(here, token)


def test_an_operation_that_is_rolled_back_changes_no_stamp(admin: User) -> None:
    token = make_token(admin)
    before = stamps.read(organization_id=admin.organization_id)

    with suppress(ZeroDivisionError), transaction.atomic():
        end_session(admin, token)
        raise ZeroDivisionError

    assert stamps.read(organization_id=admin.organization_id) == before


def test_an_empty_redis_makes_everybody_read_anew(admin: User, here: Process) -> None:
    token = make_token(admin)
    here.identify(token)

    redis_client.client().flushall()

    assert queries_of(lambda: here.identify(token)) == 1
    assert queries_of(lambda: here.identify(token)) == 0


def test_without_redis_the_database_is_asked_each_time(
    admin: User, here: Process, settings: Settings
) -> None:
    token = make_token(admin)
    here.identify(token)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    redis_client.client.cache_clear()

    try:
        asked = [queries_of(lambda: here.identify(token)) for _ in range(3)]
        end_session(admin, token)
        refused = is_refused(here, token)
    finally:
        redis_client.client.cache_clear()

    assert asked == [1, 1, 1]
    assert refused


def test_a_frozen_redis_holds_one_request_up_and_no_revocation(admin: User, here: Process) -> None:
    token = make_token(admin)
    here.identify(token)
    redis = psutil.Process(redis_client.client().info("server")["process_id"])

    redis.send_signal(signal.SIGSTOP)
    try:
        asked = [queries_of(lambda: here.identify(token)) for _ in range(2)]
        Session.objects.update(revoked_at=clock.now())
        refused = is_refused(here, token)
    finally:
        redis.send_signal(signal.SIGCONT)

    assert asked == [1, 1]
    assert refused


def test_what_is_remembered_is_bounded(
    admin: User, here: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "MOST", 2)
    tokens = [make_token(admin) for _ in range(3)]

    for token in tokens:
        here.identify(token)

    assert queries_of(lambda: here.identify(tokens[2])) == 0
    assert queries_of(lambda: here.identify(tokens[0])) == 1
    assert len(here._memory._known) == 2
    assert {len(key) for key in here._memory._known} == {32}


def test_many_threads_remember_at_once(
    admin: User, here: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "MOST", 5)
    monkeypatch.setattr(callers, "_memory", here._memory)
    tokens = [make_token(admin) for _ in range(10)]

    def ask(number: int) -> str:
        try:
            found = callers.identify(token=tokens[number % 10], now=clock.now())
            return str(found.user.pk)
        finally:
            connection.close()

    with Pool(4) as threads:
        found = set(threads.map(ask, range(100)))

    assert found == {str(admin.pk)}
    assert len(here._memory._known) <= 5


def test_the_api_takes_a_role_away_with_the_next_request(admin: User) -> None:
    client = ApiClient(admin).known()
    assert client.post("/api/v1/tasks", {"title": "Allowed"}).status_code == 201

    factories.set_role(admin, UserRole.VIEWER)
    stamps.renew(organization_id=admin.organization_id)

    assert client.post("/api/v1/tasks", {"title": "Refused"}).status_code == 403


def test_a_refresh_lets_others_be_remembered(admin: User, viewer: User) -> None:
    first = sessions.issue_tokens(user=viewer, actor=make_actor(viewer), now=clock.now())
    stamp = stamps.read(organization_id=admin.organization_id)

    sessions.refresh(token=first.refresh, now=clock.now())

    assert stamps.read(organization_id=admin.organization_id) == stamp
