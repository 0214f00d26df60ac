"""Probes and the report on what the hub needs."""

import io
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from hub import components, mail
from kernel import clock, redis_client
from kernel.outbound import OutboundPolicy
from kernel.tasks import PULSE, note_pulse
from preferences import operations as preferences
from tests.accounts.factories import make_actor
from tests.clients import ApiClient
from tests.peers.mail_server import MailPeer

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], ApiClient]
HEALTH = "/api/v1/settings/health"


@pytest.fixture(autouse=True)
def _fresh(settings: Settings, tmp_path: Path) -> Iterator[None]:
    settings.HUB_DATA_DIR = tmp_path
    components._impatient.cache_clear()
    yield
    components._impatient.cache_clear()


@pytest.fixture
def lost_redis(settings: Settings) -> None:
    """Nobody listens where Redis is said to be."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"


def use_mail(user: User, port: int, **more: Any) -> None:
    """Let the user's organization have a mail server of its own."""
    values = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none", **more}
    preferences.change(
        organization_id=user.organization_id,
        values={f"email.{name}": value for name, value in values.items()},
        actor=make_actor(user),
        now=clock.now(),
    )


def status(api: Api, user: User, name: str) -> str:
    found = api(user).get(HEALTH).json()
    return str(found["components"][name]["status"])


class TestProbes:
    @pytest.mark.parametrize("path", ["/readyz", "/ready"])
    def test_a_hub_that_can_serve_is_ready(self, client: Client, path: str) -> None:
        answer = client.get(path)

        assert answer.status_code == 200
        assert answer.json() == {
            "status": "ready",
            "version": "0.1.0",
            "checks": {"database": "ok", "redis": "ok", "gate": "ok"},
        }

    @pytest.mark.usefixtures("lost_redis")
    def test_what_fails_is_named_without_its_address(self, client: Client) -> None:
        answer = client.get("/readyz")

        assert answer.status_code == 503
        assert answer.json()["status"] == "not_ready"
        assert answer.json()["failures"] == {"redis": "unreachable"}
        assert b"127.0.0.1" not in answer.content

    def test_the_operator_can_close_the_gate(self, client: Client) -> None:
        said = io.StringIO()
        call_command("gate", "close", stdout=said)
        closed = client.get("/readyz")
        call_command("gate", "open", stdout=said)

        assert (closed.status_code, closed.json()["failures"]) == (503, {"gate": "manual_gate"})
        assert client.get("/readyz").status_code == 200
        assert said.getvalue() == "closed\nopen\n"

    @pytest.mark.usefixtures("lost_redis")
    def test_alive_asks_nobody(self, client: Client) -> None:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/health").json()["status"] == "healthy"


class TestMetrics:
    def test_they_are_open_while_developing(self, client: Client) -> None:
        assert client.get("/metrics").status_code == 200

    def test_they_are_closed_in_production(self, client: Client, settings: Settings) -> None:
        settings.HUB_ENVIRONMENT = "production"

        answer = client.get("/metrics")

        assert (answer.status_code, answer.json()["code"]) == (403, "metrics.not_public")

    @pytest.mark.parametrize(("sent", "status"), [("a" * 20, 200), ("b" * 20, 403), ("", 403)])
    def test_a_token_opens_them(
        self, client: Client, settings: Settings, sent: str, status: int
    ) -> None:
        settings.HUB_METRICS_TOKEN = "a" * 20

        answer = client.get("/metrics", headers={"Authorization": f"Bearer {sent}"})

        assert answer.status_code == status

    def test_a_network_opens_them(self, client: Client, settings: Settings) -> None:
        settings.HUB_METRICS_ALLOW = (ip_network("192.0.2.0/24"),)

        assert client.get("/metrics", REMOTE_ADDR="192.0.2.7").status_code == 200
        assert client.get("/metrics", REMOTE_ADDR="198.51.100.7").status_code == 403


class TestReport:
    def test_everything_is_asked(self, api: Api, admin: User) -> None:
        note_pulse()

        assert api(admin).get(HEALTH).json() == {
            "overall": "healthy",
            "components": {
                "database": {"status": "ok"},
                "redis": {"status": "ok"},
                "storage": {"status": "ok"},
                "mail": {"status": "not_configured"},
                "jobs": {"status": "ok"},
            },
        }

    def test_silent_jobs_degrade_it(self, api: Api, admin: User) -> None:
        redis_client.client().delete(PULSE)

        found = api(admin).get(HEALTH).json()

        assert (found["overall"], found["components"]["jobs"]) == ("degraded", {"status": "silent"})

    @pytest.mark.usefixtures("lost_redis")
    def test_a_lost_redis_degrades_it(self, api: Api, admin: User) -> None:
        assert status(api, admin, "redis") == "unreachable"

    def test_a_store_that_loses_things_degrades_it(
        self, api: Api, admin: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: Any) -> Any:
            raise OSError("No space left on /secret/disk")

        monkeypatch.setattr(default_storage._wrapped, "_save", full)  # type: ignore[attr-defined]

        answer = api(admin).get(HEALTH)

        assert answer.json()["components"]["storage"] == {"status": "unreachable"}
        assert b"/secret/disk" not in answer.content

    def test_the_probe_leaves_nothing_in_the_store(self, api: Api, admin: User) -> None:
        assert status(api, admin, "storage") == "ok"
        assert default_storage.listdir(".health")[1] == []

    def test_only_administrators_see_it(self, api: Api, operator: User) -> None:
        assert api(operator).get(HEALTH).status_code == 403
        assert api(None).get(HEALTH).status_code == 401


class TestMail:
    @pytest.fixture(autouse=True)
    def _loopback(self, settings: Settings) -> None:
        settings.HUB_OUTBOUND_ALLOW = (ip_network("127.0.0.0/8"),)

    def test_a_server_that_greets_is_fine(self, api: Api, admin: User) -> None:
        with MailPeer() as peer:
            use_mail(admin, peer.port)

            assert status(api, admin, "mail") == "ok"

        assert peer.heard == ["EHLO", "QUIT"]

    @pytest.mark.parametrize(("password", "word"), [("good", "ok"), ("bad", "login_refused")])
    def test_the_login_is_tried(self, api: Api, admin: User, password: str, word: str) -> None:
        with MailPeer(username="hub", password="good") as peer:
            use_mail(admin, peer.port, smtp_username="hub", smtp_password=password)

            assert status(api, admin, "mail") == word

    def test_a_server_that_says_nothing_holds_nobody_up(self, api: Api, admin: User) -> None:
        with MailPeer(silent=True) as peer:
            use_mail(admin, peer.port)

            assert status(api, admin, "mail") == "unreachable"

    @pytest.mark.parametrize("pause", [0.1, -1])
    def test_a_server_that_greets_without_end_is_hung_up_on(
        self, api: Api, admin: User, client: Client, pause: float
    ) -> None:
        with MailPeer(endless=pause) as peer:
            use_mail(admin, peer.port)

            # Each is answered in time, and the hub's own readiness is no affair of theirs.
            assert [status(api, admin, "mail") for _ in range(3)] == ["unreachable"] * 3
            assert client.get("/readyz").status_code == 200
            components._post.submit(int).result(5)  # no thread is held

    def test_a_password_does_not_travel_in_plain_text(
        self, api: Api, admin: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with MailPeer(username="hub", password="good") as peer:
            use_mail(admin, peer.port, smtp_username="hub", smtp_password="good")
            monkeypatch.setattr(OutboundPolicy, "lists", lambda *_: False)
            monkeypatch.setattr(mail, "is_public", lambda *_: True)

            assert status(api, admin, "mail") == "not_encrypted"

        assert peer.heard == []

    def test_one_without_encryption_is_not_ok_where_it_is_asked_for(
        self, api: Api, admin: User
    ) -> None:
        with MailPeer() as peer:
            use_mail(admin, peer.port, smtp_security="starttls")

            assert status(api, admin, "mail") == "unreachable"

        assert "AUTH" not in peer.heard

    def test_private_networks_are_not_reached_for_an_organization(
        self, api: Api, admin: User, settings: Settings
    ) -> None:
        settings.HUB_OUTBOUND_ALLOW = ()
        with MailPeer() as peer:
            use_mail(admin, peer.port)

            assert status(api, admin, "mail") == "not_allowed"

        assert peer.heard == []

    def test_the_hubs_own_server_serves_who_has_none(
        self, api: Api, admin: User, settings: Settings
    ) -> None:
        settings.HUB_OUTBOUND_ALLOW = ()
        with MailPeer(username="hub", password="p@ss") as peer:
            settings.HUB_SMTP_URL = f"smtp://hub:p%40ss@127.0.0.1:{peer.port}"

            assert status(api, admin, "mail") == "ok"

    def test_the_hubs_password_goes_to_no_other_server(
        self, api: Api, admin: User, settings: Settings
    ) -> None:
        settings.HUB_SMTP_URL = "smtp://hub:secret@127.0.0.1:1"
        with MailPeer(username="hub", password="secret") as peer:
            use_mail(admin, peer.port)

            assert status(api, admin, "mail") == "ok"

        assert "AUTH" not in peer.heard
