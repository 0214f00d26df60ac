"""IP rules: who gets in from where (contract 003 B17)."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from accounts.models import IpRule, User
from accounts.operations import network as network_operations
from accounts.selectors import network
from kernel import clock
from kernel.actors import Actor
from tests.accounts.factories import PASSWORD
from tests.clients import ApiClient

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], ApiClient]
RULES = "/api/v1/security/ip-rules"
HERE = "127.0.0.0/8"


def rule(action: str, cidr: str, description: str = "") -> dict[str, str]:
    return {"action": action, "cidr": cidr, "description": description}


@pytest.mark.parametrize(
    ("lines", "address", "allowed"),
    [
        ([], "192.0.2.1", True),
        ([], None, True),
        (["deny 192.0.2.0/24"], "192.0.2.1", False),
        (["deny 192.0.2.0/24"], "192.0.3.1", True),
        (["deny 192.0.2.0/24"], "::ffff:192.0.2.1", False),
        (["deny 192.0.2.0/24"], "::FFFF:c000:0201", False),
        (["allow 192.0.2.0/24"], "192.0.2.1", True),
        (["allow 192.0.2.0/24"], "192.0.3.1", False),
        (["allow 192.0.2.0/24"], "2001:db8::1", False),
        (["allow 192.0.2.0/24", "deny 192.0.2.1/32"], "192.0.2.1", False),
        (["allow 192.0.2.0/24", "deny 192.0.2.1/32"], "192.0.2.2", True),
        (["allow 2001:db8::/32"], "2001:db8::1%eth0", True),
        (["allow 0.0.0.0/0"], "2001:db8::1", False),
        (["allow 192.0.2.0/24"], None, False),
        (["allow 192.0.2.0/24"], "nonsense", False),
        (["deny 192.0.2.0/24"], "", True),
    ],
)
def test_rules_decide(lines: list[str], address: str | None, *, allowed: bool) -> None:
    assert network.is_allowed(rules=network.prepare(lines), address=address) is allowed


def test_a_list_is_replaced_whole_and_read_back(api: Api, admin: User) -> None:
    client = api(admin)
    first = client.put(RULES, {"items": [rule("allow", HERE, "here"), rule("deny", "10.1.2.3")]})
    second = client.put(RULES, [rule("allow", "127.0.0.1"), rule("deny", "::ffff:10.0.0.0/104")])

    assert first.status_code == second.status_code == 200
    found = client.get(RULES).json()
    assert [(item["action"], item["cidr"]) for item in found["items"]] == [
        ("allow", "127.0.0.1/32"),
        ("deny", "10.0.0.0/8"),
    ]
    assert found["total"] == 2


def test_they_count_with_the_next_request(admin: User, api: Api, viewer: User) -> None:
    watching = api(viewer).known()

    network_operations.replace_rules(
        organization_id=admin.organization_id,
        rules=[rule("deny", HERE)],
        actor=Actor(type="system", ip_address="192.0.2.1"),
        now=clock.now(),
    )

    refused = watching.get("/api/v1/auth/me")
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.address_refused")


def test_nobody_locks_themselves_out(api: Api, admin: User) -> None:
    client = api(admin)
    client.put(RULES, [rule("allow", HERE)])

    for asked in (
        [rule("allow", "192.0.2.0/24")],
        [rule("deny", "127.0.0.1")],
        [rule("deny", "0.0.0.0/0")],
        [rule("deny", "::ffff:127.0.0.1")],
        [rule("allow", HERE), rule("deny", "127.0.0.0/30")],
    ):
        answer = client.put(RULES, asked)
        assert (answer.status_code, answer.json()["code"]) == (409, "ip_rules.lock_out")

    assert [row.cidr for row in IpRule.objects.all()] == [HERE]


@pytest.mark.parametrize(
    "cidr",
    [
        *("", "nonsense", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "1.2.3", "::/129"),
        *("10.0.0.0/8/8", "10.0.0.0/0x8", "256.0.0.0/8", "fe80::1%eth0/64", "a" * 65),
        "10.0.0.0/255.0.0.255",
    ],
)
def test_garbage_changes_nothing(api: Api, admin: User, cidr: str) -> None:
    client = api(admin)

    answer = client.put(RULES, {"items": [rule("allow", HERE), rule("deny", cidr)]})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "items.1.cidr"
    assert not IpRule.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"items": None},
        {"items": "all"},
        {"items": [1]},
        {"items": [{"cidr": HERE}]},
        {"items": [{"cidr": HERE, "action": "drop"}]},
        {"items": [rule("allow", HERE, "x" * 256)]},
        {"items": [rule("allow", HERE), rule("allow", "127.0.0.0/8")]},
        {"items": [rule("deny", f"10.0.{n // 250}.{n % 250}") for n in range(501)]},
    ],
    ids=lambda body: str(body)[:40],
)
def test_a_bad_list_changes_nothing(api: Api, admin: User, body: Any) -> None:
    assert api(admin).put(RULES, body).status_code == 422
    assert not IpRule.objects.exists()


def test_five_hundred_rules_are_fine(api: Api, admin: User) -> None:
    rules = [rule("deny", f"10.0.{n // 250}.{n % 250}") for n in range(500)]

    assert api(admin).put(RULES, rules).status_code == 200
    assert api(admin).get(RULES, limit=200).json()["total"] == 500


def test_only_those_who_may_see_and_change_them(api: Api, operator: User) -> None:
    client = api(operator)

    assert client.get(RULES).status_code == 403
    assert client.put(RULES, [rule("deny", "10.0.0.0/8")]).status_code == 403
    assert not IpRule.objects.exists()


def test_behind_a_trusted_proxy_the_client_counts(
    api: Api, admin: User, settings: Settings
) -> None:
    settings.HUB_TRUSTED_PROXIES = network.prepare(["allow 127.0.0.0/8"]).allowed
    client = api(admin)._client

    def get(forwarded: str) -> int:
        headers = {"X-Forwarded-For": forwarded}
        return client.get("/api/v1/auth/me", headers=headers).status_code

    put = client.put(
        RULES,
        [rule("allow", "192.0.2.0/24")],
        content_type="application/json",
        headers={"X-Forwarded-For": "192.0.2.7"},
    )

    assert put.status_code == 200
    assert get("192.0.2.9") == 200
    assert get("198.51.100.1") == 403
    assert get("192.0.2.9, 198.51.100.1") == 403  # what the client wrote itself
    assert get("198.51.100.1, 192.0.2.9") == 200


def test_login_and_refresh_are_refused_too(api: Api, admin: User) -> None:
    credentials = {"email": admin.email, "password": PASSWORD}
    tokens = api(None).post("/api/v1/auth/login", credentials).json()
    IpRule.objects.create(
        organization=admin.organization, cidr="192.0.2.0/24", action="allow", position=0
    )

    refused = api(None).post("/api/v1/auth/login", credentials)
    wrong = api(None).post("/api/v1/auth/login", {**credentials, "password": "not this one at all"})
    again = api(None).post("/api/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]})

    assert (refused.status_code, refused.json()["code"]) == (403, "auth.address_refused")
    assert wrong.status_code == 401
    assert (again.status_code, again.json()["code"]) == (403, "auth.address_refused")


def test_the_operator_lets_a_locked_out_organization_in_again(api: Api, admin: User) -> None:
    IpRule.objects.create(
        organization=admin.organization, cidr="192.0.2.0/24", action="allow", position=0
    )
    client = api(admin)
    assert client.get(RULES).status_code == 403

    call_command("clear_ip_rules", admin.organization.slug, stdout=io.StringIO())

    assert client.get(RULES).status_code == 200
    with pytest.raises(CommandError, match="No organization"):
        call_command("clear_ip_rules", "nobody")
