"""What every test stands on: a hub's own servers, an organization, people and clients."""

import os

# Before Django reads it: a developer's shell must not reach into the tests.
for _name in [name for name in os.environ if name.startswith("HUB_")]:
    del os.environ[_name]
for _name in ("DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY"):
    os.environ.pop(_name, None)
os.environ["HUB_ENV"] = "test"
os.environ["DJANGO_SETTINGS_MODULE"] = "hub.settings"

import django

django.setup()

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client, TransactionTestCase
from pytest_django import DjangoDbBlocker
from xdist.remote import Producer  # type: ignore[import-untyped]  # ships no types

from accounts.choices import UserRole
from accounts.clients import stamps
from accounts.models import Organization, User
from hub.celery import app
from hub.embedded import servers as embedded
from hub.embedded.servers import Servers
from hub.settings import database
from kernel import jobs, redis_client, tenancy
from tests import distribution, forgetting
from tests.accounts import factories
from tests.clients import ApiClient
from tests.emptying import Emptying
from tests.journeys import programs

# A browser is logged in by a row of ours; what Django's own way leaves in it opens nothing.
setattr(Client, "force_login", factories.enter_console)  # noqa: B010 - it takes another shape


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """PostgreSQL and Redis of this test process alone."""
    with embedded.session(tmp_path_factory.mktemp("hub", numbered=True)) as running:
        yield running


@pytest.fixture(scope="session")
def django_db_setup(servers: Servers, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A migrated database; migrations run as its owner, tests as the app's own role."""
    with django_db_blocker.unblock():
        _connect(servers.postgres.owner_url)
        call_command("migrate", verbosity=0)
        _connect(servers.postgres.url)
        _use_redis(servers.redis.url)
        yield
        connections["default"].close()


@pytest.fixture(autouse=True)
def _platform() -> Iterator[None]:
    """What a test does by itself, it does for every organization; what it calls has its own."""
    with tenancy.platform():
        yield


@pytest.fixture(autouse=True)
def _empty_redis(request: pytest.FixtureRequest) -> None:
    if "django_db_setup" in request.fixturenames:
        redis_client.client().flushall()
        jobs._rung.clear()  # what was rung for is gone with it
        jobs._silence.until = stamps._silence.until = 0.0


@pytest.fixture(autouse=True)
def _callers_are_told(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """No operation changes what decides about callers behind the back of who remembers them."""
    if "django_db_setup" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("_django_db_helper")  # is looked at before it rolls back
    watch = forgetting.watch(monkeypatch)
    yield
    assert not watch.silent(), "Call `callers.forget` in these operations."


@pytest.fixture
def organization(db: None) -> Organization:
    """The organization of the people below."""
    return factories.make_organization()


@pytest.fixture
def other_organization(db: None) -> Organization:
    """Somebody else's."""
    return factories.make_organization()


@pytest.fixture
def admin(organization: Organization) -> User:
    """An administrator of `organization`."""
    return factories.make_user(organization, role=UserRole.ADMIN)


@pytest.fixture
def operator(organization: Organization) -> User:
    """An operator of `organization`."""
    return factories.make_user(organization, role=UserRole.OPERATOR)


@pytest.fixture
def viewer(organization: Organization) -> User:
    """A viewer of `organization`."""
    return factories.make_user(organization, role=UserRole.VIEWER)


@pytest.fixture
def stranger(other_organization: Organization) -> User:
    """An administrator of the other organization."""
    return factories.make_user(other_organization, role=UserRole.ADMIN)


@pytest.fixture
def api() -> Callable[[User | None], ApiClient]:
    """`api(user)` is a client of the REST API logged in as `user`; `api(None)` is anonymous."""
    return ApiClient


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes begins first."""
    distribution.hubs_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> distribution.ByFile:
    """The distribution of this suite, whatever `--dist` says."""
    return distribution.ByFile(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the journeys that this machine cannot run."""
    programs.report(terminalreporter)


def _connect(url: str) -> None:
    connections["default"].close()
    connections["default"].settings_dict.update(database(url))


def _use_redis(url: str) -> None:
    settings.REDIS_URL = url
    app.conf.update(broker_url=url)
    redis_client.client.cache_clear()


@pytest.fixture(scope="session", autouse=True)
def _emptying_teardown(request: pytest.FixtureRequest) -> Iterator[None]:
    """Transactional tests clean up as the superuser: the app's role may not."""
    made: list[Emptying] = []

    def empty(_: TransactionTestCase) -> None:
        if not made:
            made.append(Emptying(request.getfixturevalue("servers").postgres.superuser_url))
        made[0].empty()

    setattr(TransactionTestCase, "_fixture_teardown", empty)  # noqa: B010 - stubs hide the name
    yield
    for each in made:
        each.close()


def repository() -> Path:
    """The folder of this checkout."""
    return Path(__file__).parent.parent
