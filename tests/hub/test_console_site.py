"""The frame of the console: login, menu, icons."""

from contextlib import closing

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.accounts.factories import PASSWORD

LOGIN = "/admin/login/"
PEOPLE = ("Users", "Sessions", "API keys", "Agent keys", "Organization")
HUB = ("Settings", "Security policy", "IP rules", "Health")


def log_in(client: Client, user: User, password: str = PASSWORD) -> int:
    answer = client.post(f"{LOGIN}?next=/admin/", {"username": user.email, "password": password})
    return answer.status_code


def menu(client: Client) -> list[str]:
    groups = client.get(reverse("admin:index")).context["sidebar_navigation"]
    return [item["title"] for g in groups for item in g["items"] if item["has_permission"]]


def test_the_login_page_names_the_hub(client: Client) -> None:
    page = client.get(LOGIN)

    assert "<title> \n    Log in | Agent Hub\n" in page.content.decode()
    assert page["X-Frame-Options"] == "DENY"


def test_a_form_without_its_token_is_refused(viewer: User) -> None:
    strict = Client(enforce_csrf_checks=True)

    assert log_in(strict, viewer) == 403


def test_strangers_and_disabled_people_are_sent_to_the_login(client: Client, viewer: User) -> None:
    assert client.get("/admin/")["Location"] == "/admin/login/?next=/admin/"

    client.force_login(viewer)
    User.objects.update(is_active=False)
    assert client.get("/admin/")["Location"] == "/admin/login/?next=/admin/"


def test_people_of_a_disabled_organization_are_sent_to_the_login(
    client: Client, viewer: User
) -> None:
    client.force_login(viewer)
    viewer.organization.is_active = False
    viewer.organization.save()

    assert client.get("/admin/").status_code == 302


def test_the_menu_shows_what_one_may_open(client: Client, admin: User, viewer: User) -> None:
    work = [
        "Overview",
        "Tasks",
        "Agents",
        "Overrides",
        "Executions",
        "Approvals",
        "Knowledge",
        "Memory",
        "Projects",
        "Environments",
    ]
    client.force_login(viewer)
    seen = menu(client)
    client.force_login(admin)

    assert seen[: len(work) + 1] == [*work, "Costs"]
    assert not set(seen) & {*PEOPLE, *HUB, "Audit export"}
    assert menu(client) == [
        *work,
        *(
            "Costs",
            "Usage",
            "Budgets",
            "Model prices",
            "Audit",
            "Audit checkpoints",
            "Audit export",
            "Approval rules",
            "Tools",
            "Tool sources",
            "Secrets",
            "Circuit breakers",
            "Limits",
            "Dead letters",
            "Events",
        ),
        "Users",
        "Roles",
        "Role assignments",
        *PEOPLE[1:],
        *HUB,
        *("API", "API schema"),
    ]


@pytest.mark.parametrize("path", ["password_change/", "search/?s=a&page=x", "auth/group/"])
def test_doors_of_the_frameworks_are_closed(client: Client, admin: User, path: str) -> None:
    client.force_login(admin)

    assert client.get(f"/admin/{path}").status_code == 404


@pytest.mark.parametrize("path", ["tasks/", "agents/", "accounts/", "jsi18n/"])
def test_what_lies_between_the_pages_opens(client: Client, admin: User, path: str) -> None:
    client.force_login(admin)

    assert client.get(f"/admin/{path}").status_code == 200


@pytest.mark.parametrize("asset", ["favicon.svg", "console.css", "console.js"])
def test_assets_are_served(client: Client, asset: str) -> None:
    with closing(client.get(f"/static/hub/{asset}")) as answer:
        assert answer.status_code == 200


def test_browsers_find_the_icon_where_they_look(client: Client) -> None:
    with closing(client.get("/favicon.ico", follow=True)) as icon:
        assert icon["Content-Type"] == "image/svg+xml"


def test_the_address_without_its_slash_leads_to_the_console(client: Client) -> None:
    assert client.get("/admin")["Location"] == "/admin/"


def test_pages_load_from_this_host_alone(client: Client, admin: User) -> None:
    client.force_login(admin)

    page = client.get("/admin/").content.decode()

    assert 'src="http' not in page
    assert 'href="http' not in page
