"""Somebody of the provider's visits the console of a whole hub, in Chromium."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.journeys import hubs, programs
from tests.journeys.hubs import Hub
from tests.journeys.test_console import FLAGS, MILLISECONDS, RESULTS
from tests.peers import oidc_provider
from tests.peers.oidc_provider import CLIENT_ID, PASSWORD, SECRET, Provider

LABEL = "Log in with the provider"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub that may call loopback."""
    folder = hubs.started_before(tmp_path_factory, "single-sign-on")
    with hubs.serving(folder, HUB_OUTBOUND_ALLOW="127.0.0.0/8") as serving:
        assert serving.url
        yield serving


@pytest.fixture(scope="module")
def provider(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider that sends browsers back to the hub."""
    folder = tmp_path_factory.mktemp("provider")
    with oidc_provider.honest(folder, redirect_uri=f"{hub.url}/sso/callback") as running:
        yield running


@pytest.fixture(scope="module")
def api(hub: Hub, provider: Provider) -> Iterator[httpx.Client]:
    """The administrator's, who connected the provider."""
    with httpx.Client(base_url=f"{hub.url}/api/v1", timeout=30, trust_env=False) as client:
        body = {"email": hubs.EMAIL, "password": hubs.PASSWORD}
        tokens = client.post("/auth/login", json=body).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        settings = {
            "security.oidc_issuer": provider.issuer,
            "security.oidc_client_id": CLIENT_ID,
            "security.oidc_client_secret": SECRET,
            "security.oidc_group_roles": ["operators=operator"],
            "security.oidc_create_users": True,
            "security.oidc_button_label": LABEL,
        }
        client.put("/settings/bulk", json={"settings": settings}).raise_for_status()
        yield client


@pytest.fixture
def page(api: httpx.Client) -> Iterator[Page]:
    """A browser that was never here."""
    with sync_playwright() as engines:
        chromium = engines.chromium.launch(executable_path=programs.chromium(), args=FLAGS)
        context = chromium.new_context(viewport={"width": 1400, "height": 900})
        context.set_default_timeout(MILLISECONDS)
        yield context.new_page()
        chromium.close()


def log_in(page: Page, name: str) -> None:
    """What the provider asks."""
    expect(page).to_have_title("Provider")
    page.fill("[name=username]", name)
    page.fill("[name=password]", PASSWORD)
    page.get_by_role("button").click()


def test_somebody_comes_in_by_the_button_and_as_their_groups_say(
    hub: Hub, page: Page, api: httpx.Client
) -> None:
    page.goto(f"{hub.url}/admin/tasks/task/")
    RESULTS.mkdir(exist_ok=True)
    page.screenshot(path=RESULTS / "single-sign-on-button.png")
    page.get_by_role("link", name=LABEL).click()
    log_in(page, "olivia")

    expect(page).to_have_url(f"{hub.url}/admin/tasks/task/")
    page.goto(f"{hub.url}/admin/account/")
    expect(page.locator("#content")).to_contain_text("olivia@example.com")
    people = api.get("/admin/users").json()["items"]
    assert [each["role"] for each in people if each["email"] == "olivia@example.com"] == [
        "operator"
    ]


def test_somebody_unverified_reads_why_they_stay_out(hub: Hub, page: Page) -> None:
    page.goto(f"{hub.url}/admin/")
    page.get_by_role("link", name=LABEL).click()
    log_in(page, "mallory")

    expect(page.get_by_role("alert")).to_contain_text("does not say that your e-mail address")
    page.screenshot(path=RESULTS / "single-sign-on-refused.png")
    page.get_by_role("link", name="To the login page").click()
    expect(page).to_have_title("Log in | Agent Hub")


def test_a_provider_that_is_gone_leaves_the_password(
    hub: Hub, page: Page, provider: Provider
) -> None:
    """The last one: it ends the provider."""
    provider.stop()
    page.goto(f"{hub.url}/admin/")
    expect(page.get_by_role("link", name=LABEL)).to_be_visible()
    page.fill("[name=username]", hubs.EMAIL)
    page.fill("[name=password]", hubs.PASSWORD)
    page.click("button[type=submit]")

    expect(page).to_have_title("Overview | Agent Hub")
