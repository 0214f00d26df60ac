"""Somebody enrols a second factor in the console and logs in with it, in Chromium."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyotp
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.journeys import hubs, programs
from tests.journeys.hubs import Hub
from tests.journeys.test_console import FLAGS, MILLISECONDS


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub that has started."""
    with hubs.serving(hubs.started_before(tmp_path_factory, "second-factor")) as serving:
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


def give_password(page: Page, hub: Hub) -> None:
    """The first step of a login."""
    page.goto(f"{hub.url}/admin/")
    page.fill("[name=username]", hubs.EMAIL)
    page.fill("[name=password]", hubs.PASSWORD)
    page.get_by_role("button", name="Log in").click()


def picture(page: Page, name: str) -> None:
    """Keep what is on the screen."""
    folder = Path(hubs.ROOT / "test-results")
    folder.mkdir(exist_ok=True)
    page.screenshot(path=folder / f"account-{name}.png", full_page=True)


def next_code(secret: str) -> str:
    """The code of the step after the present one: a code is good once."""
    return pyotp.TOTP(secret).at(int(time.time()), counter_offset=1)


def test_a_second_factor_is_enrolled_and_asked_for(hub: Hub, page: Page) -> None:
    give_password(page, hub)
    expect(page).to_have_title("Overview | Agent Hub")

    page.goto(f"{hub.url}/admin/account/")
    page.locator("#mfa").get_by_role("button", name="Set up").click()
    secret = page.locator("#mfa-secret").inner_text()
    expect(page.locator("#mfa img")).to_be_visible()
    picture(page, "enrolment")
    page.locator("#mfa [name=code]").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Turn on").click()
    codes = page.locator("#backup-codes pre").inner_text().split()
    assert len(codes) == 10
    picture(page, "backup-codes")
    page.context.clear_cookies()

    give_password(page, hub)
    page.fill("[name=code]", "000000")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("The code is wrong or was used before.")).to_be_visible()
    picture(page, "second-step")
    page.fill("[name=code]", next_code(secret))
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_title("Overview | Agent Hub")

    page.context.clear_cookies()
    give_password(page, hub)
    page.fill("[name=code]", codes[0])
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_title("Overview | Agent Hub")
    _log_in_to_the_api(hub, codes[1])


def _log_in_to_the_api(hub: Hub, backup_code: str) -> None:
    with httpx.Client(base_url=f"{hub.url}/api/v1/auth", timeout=30, trust_env=False) as client:
        first = client.post("/login", json={"email": hubs.EMAIL, "password": hubs.PASSWORD}).json()
        body = {"temp_token": first["temp_token"], "backup_code": backup_code}
        second = client.post("/verify-mfa", json=body).json()
        bearer = {"Authorization": f"Bearer {second['access']}"}
        assert client.get("/me", headers=bearer).json()["mfa_enabled"] is True
        sessions = client.get("/sessions", headers=bearer).json()["items"]
        assert {"console", "api"} == {session["kind"] for session in sessions}
