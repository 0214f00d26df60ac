"""The organization asks for fresh second factors: what an administrator does in Chromium then."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pyotp
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.journeys import hubs, programs
from tests.journeys.hubs import Hub
from tests.journeys.test_console import FLAGS, MILLISECONDS
from tests.journeys.test_second_factor import give_password


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hub's data."""
    return hubs.started_before(tmp_path_factory, "step-up")


@pytest.fixture(scope="module")
def hub(folder: Path) -> Iterator[Hub]:
    """A hub that has started."""
    with hubs.serving(folder) as serving:
        assert serving.url
        yield serving


@pytest.fixture
def page(hub: Hub) -> Iterator[Page]:
    """A browser at the login."""
    with sync_playwright() as engines:
        chromium = engines.chromium.launch(executable_path=programs.chromium(), args=FLAGS)
        context = chromium.new_context(viewport={"width": 1400, "height": 900})
        context.set_default_timeout(MILLISECONDS)
        yield context.new_page()
        chromium.close()


def enrol(hub: Hub) -> tuple[pyotp.TOTP, str]:
    """The administrator's authenticator and a backup code; fresh codes are asked for from then on.

    Who switches that on has logged in with the factor. The authenticator's codes are good once and
    for a minute: logins take backup codes, so that no step of theirs is waited for or missed.
    """
    with httpx.Client(base_url=f"{hub.url}/api/v1", timeout=30, trust_env=False) as client:
        body = {"email": hubs.EMAIL, "password": hubs.PASSWORD}
        token = client.post("/auth/login", json=body).raise_for_status().json()["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        secret = client.post("/auth/mfa/setup").raise_for_status().json()["secret"]
        authenticator = pyotp.TOTP(secret)
        code = {"code": authenticator.now()}
        codes = client.post("/auth/mfa/verify", json=code).raise_for_status().json()["backup_codes"]
        waiting = client.post("/auth/login", json=body).raise_for_status().json()["temp_token"]
        shown = {"temp_token": waiting, "backup_code": codes[0]}
        token = client.post("/auth/verify-mfa", json=shown).raise_for_status().json()["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        asked = {"value": True}
        client.put("/settings/security/step_up_required", json=asked).raise_for_status()
        return authenticator, codes[1]


def age_factors(folder: Path) -> None:
    """As if every second factor was shown an hour ago."""
    connection = json.loads((folder / "connection.json").read_text())
    with psycopg.connect(connection["DATABASE_URL"], options=hubs.EVERYTHING) as database:
        database.execute("UPDATE accounts_session SET mfa_at = mfa_at - interval '1 hour'")


def test_a_dialog_asks_for_the_code_and_does_what_was_asked(
    hub: Hub, folder: Path, page: Page
) -> None:
    give_password(page, hub)
    expect(page).to_have_title("Overview | Agent Hub")
    authenticator, backup_code = enrol(hub)
    new_role = f"{hub.url}/admin/accounts/role/"

    page.goto(new_role)
    page.locator("#main").get_by_text("New role").first.click()
    dialog = page.locator("#dialog")
    expect(dialog).to_contain_text("Your second factor is younger than this login.")
    expect(dialog.get_by_role("button", name="New role")).to_be_hidden()
    dialog.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/admin/logout/")

    give_password(page, hub)
    page.fill("[name=code]", backup_code)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_title("Overview | Agent Hub")
    age_factors(folder)

    page.goto(new_role)
    page.locator("#main").get_by_text("New role").first.click()
    dialog.locator("[name=name]").fill("Desk")
    dialog.locator("[name=fresh_code]").fill("000000")
    dialog.get_by_role("button", name="New role").click()
    expect(dialog).to_contain_text("The code is wrong or was used before.")
    expect(dialog.locator("[name=name]")).to_have_value("Desk")
    dialog.locator("[name=fresh_code]").fill(authenticator.at(int(time.time()), counter_offset=1))
    dialog.get_by_role("button", name="New role").click()

    expect(page.locator("#result_list")).to_contain_text("Desk")
