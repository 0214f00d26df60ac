"""An operator's visit to the console of a whole hub, in Chromium."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from hub.launch.welcome import AGENT, QUESTION
from tests.journeys import hubs, programs
from tests.journeys.hubs import Hub

RESULTS: Final = hubs.ROOT / "test-results"
FLAGS: Final = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
MILLISECONDS: Final = 20_000
expect.set_options(timeout=MILLISECONDS)  # of itself it waits five seconds: too few if all is busy
PHONE: Final = 390


@dataclass
class Visit:
    """A browser's page that is logged in, and everything that went wrong on it."""

    url: str
    page: Page
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def listen(self) -> None:
        """Note errors, refused answers and whom the page talks to."""
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("request", lambda asked: self.hosts.add(urlsplit(asked.url).netloc))

    def open(self, path: str) -> Page:
        """Go to a page of the console."""
        self.page.goto(f"{self.url}/admin/{path}")
        return self.page

    def picture(self, name: str) -> None:
        """Keep what is on the screen."""
        RESULTS.mkdir(exist_ok=True)
        self.page.screenshot(path=RESULTS / f"console-{name}.png", full_page=True)

    def _hear(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub that has answered its welcome task."""
    with hubs.serving(tmp_path_factory.mktemp("console")) as serving:
        assert serving.url
        yield serving


@pytest.fixture(scope="module")
def api(hub: Hub) -> Iterator[httpx.Client]:
    """The REST API, logged in as the administrator."""
    with httpx.Client(base_url=f"{hub.url}/api/v1", timeout=30, trust_env=False) as client:
        body = {"email": hubs.EMAIL, "password": hubs.PASSWORD}
        tokens = client.post("/auth/login", json=body).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        # Each visit logs in anew, and must not end this session.
        limit = {"session": {"max_concurrent_sessions": 50}}
        client.put("/security", json=limit).raise_for_status()
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of this machine."""
    with sync_playwright() as engines:
        chromium = engines.chromium.launch(executable_path=programs.chromium(), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(params=["light", "dark"])
def visit(hub: Hub, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A visit in each colour scheme, without a complaint and without a word to other hosts."""
    context = browser.new_context(
        color_scheme=request.param, viewport={"width": 1400, "height": 900}
    )
    context.set_default_timeout(MILLISECONDS)
    found = Visit(hub.url, context.new_page())
    found.listen()
    found.open("")
    expect(found.page).to_have_title("Log in | Agent Hub")
    found.page.fill("[name=username]", hubs.EMAIL)
    found.page.fill("[name=password]", hubs.PASSWORD)
    found.page.click("button[type=submit]")
    expect(found.page).to_have_title("Overview | Agent Hub")
    yield found
    context.close()
    assert found.complaints == []
    assert found.hosts == {urlsplit(hub.url).netloc}


def make_agent(api: httpx.Client, name: str, *, started: bool) -> str:
    """A demo agent with the calculator."""
    body = {"name": name, "llm_provider": "demo", "enabled_tools": ["calculator"]}
    agent = api.post("/agents/", json=body).raise_for_status().json()
    if started:
        api.post(f"/agents/{agent['id']}/start").raise_for_status()
    return str(agent["id"])


def make_task(api: httpx.Client, agent_id: str) -> str:
    """A task for the calculator."""
    body = {"title": "What is 6 * 7?", "agent_id": agent_id}
    return str(api.post("/tasks/", json=body).raise_for_status().json()["id"])


def press(visit: Visit, button: str, question: str) -> None:
    """A button of an object's page, and the button of the same name in its dialog."""
    visit.page.locator("#main").get_by_text(button, exact=True).click()
    dialog = visit.page.locator("#dialog")
    expect(dialog).to_contain_text(question)
    visit.picture(f"dialog-{_scheme(visit.page)}")
    dialog.get_by_role("button", name=button).click()


def test_the_front_page_leads_to_the_welcome_task_and_its_timeline(visit: Visit) -> None:
    page = visit.page
    expect(page.get_by_role("status").first).to_contain_text("No model provider is configured.")
    expect(page.locator("#spend")).to_contain_text("model calls")
    visit.picture(f"overview-{_scheme(page)}")

    page.locator("#finished").get_by_role("link", name=QUESTION).first.click()

    expect(page.locator("[data-part=summary]")).to_contain_text("Completed")
    expect(page.locator("#result")).to_contain_text("[1]")
    calls = page.locator("[data-kind=tool_call]")
    expect(calls.first).to_contain_text("Tool call: knowledge_search")
    expect(page.locator("[data-kind=model_turn]").first).to_contain_text(
        "Demo provider (offline, not a language model)"
    )
    visit.picture(f"task-{_scheme(page)}")
    page.get_by_role("link", name="Execution", exact=True).click()
    expect(page.get_by_role("link", name=AGENT).first).to_be_visible()


def test_an_agent_is_stopped_and_started_by_its_buttons(visit: Visit, api: httpx.Client) -> None:
    agent_id = make_agent(api, f"Stoppable {_scheme(visit.page)}", started=True)
    page = visit.open(f"agents/agent/{agent_id}/change/")

    press(visit, "Stop agent", "Its running tasks go back to the queue")
    expect(page.locator(".hub-status").first).to_have_text("Offline")
    assert api.get(f"/agents/{agent_id}").json()["is_active"] is False
    visit.picture(f"agent-{_scheme(page)}")

    press(visit, "Start agent", "The agent takes tasks again.")
    expect(page.locator(".hub-status").first).to_have_text("Idle")


def test_a_task_is_followed_to_its_end(visit: Visit, api: httpx.Client) -> None:
    agent_id = make_agent(api, f"Late {_scheme(visit.page)}", started=False)
    page = visit.open(f"tasks/task/{make_task(api, agent_id)}/change/")
    expect(page.locator("[data-part=why]")).to_contain_text("Start it.")

    api.post(f"/agents/{agent_id}/start").raise_for_status()

    expect(page.locator("#result")).to_contain_text("6 * 7 = 42", timeout=MILLISECONDS)
    expect(page.get_by_text("This page follows the task.")).to_have_count(0)
    expect(page.locator("[data-part=attempt-1]")).to_contain_text("Tool call: calculator")


def test_a_task_is_cancelled_by_its_button(visit: Visit, api: httpx.Client) -> None:
    agent_id = make_agent(api, f"Idle {_scheme(visit.page)}", started=False)
    task_id = make_task(api, agent_id)
    page = visit.open(f"tasks/task/{task_id}/change/")

    press(visit, "Cancel task", "The task ends")

    expect(page.locator("[data-part=summary]")).to_contain_text("Cancelled")
    assert api.get(f"/tasks/{task_id}").json()["status"] == "cancelled"


def test_a_password_that_is_shown_once_stays_until_it_is_closed(
    visit: Visit, api: httpx.Client
) -> None:
    body = {"email": f"lost-{_scheme(visit.page)}@example.com", "password": "A long one, 4 times"}
    user_id = api.post("/admin/users", json=body).raise_for_status().json()["id"]
    page = visit.open(f"accounts/user/{user_id}/change/")
    sent: list[Route] = []
    page.route(
        "**/reset_password/",
        lambda route: sent.append(route) if route.request.method == "POST" else route.continue_(),
    )
    dialog = page.get_by_role("dialog", name="Reset password")

    with page.expect_request(lambda request: request.method == "POST"):
        press(visit, "Reset password", "They get a new password")
    page.mouse.click(5, 5)
    page.keyboard.press("Escape")
    visit.picture(f"sending-{_scheme(page)}")
    expect(dialog).to_be_visible()
    sent[0].continue_()
    expect(page.locator("#shown-once")).to_have_text(re.compile(r"[\w-]{29}"))
    page.mouse.click(5, 5)
    page.keyboard.press("Escape")
    visit.picture(f"shown-once-{_scheme(page)}")
    expect(dialog.get_by_text("Cancel")).to_have_count(0)

    dialog.get_by_text("Close", exact=True).click()

    expect(dialog).to_be_hidden()


def test_every_page_of_the_menu_opens(visit: Visit) -> None:
    links = visit.page.locator("#nav-sidebar-apps a[href*='/admin/']")
    paths = [link.get_attribute("href") or "" for link in links.all()]
    assert len(paths) == 36

    for path in paths:
        visit.page.goto(f"{visit.url}{path}")
        expect(visit.page.locator("#content")).to_be_visible()
        expect(visit.page.locator("#refused")).to_have_count(0)
        if Path(path).name == "task":
            visit.picture(f"tasks-{_scheme(visit.page)}")


def test_the_audit_trail_is_downloaded(visit: Visit) -> None:
    page = visit.open("audit-export/")

    with page.expect_download() as awaited:
        page.get_by_role("button", name="Download").click()

    lines = Path(awaited.value.path()).read_text().splitlines()
    assert awaited.value.suggested_filename.endswith(".jsonl")
    assert json.loads(lines[0])["type"] == "header"
    assert json.loads(lines[-1])["type"] == "footer"
    expect(page).to_have_title("Audit export | Agent Hub")


def test_no_page_is_wider_than_a_phone(visit: Visit) -> None:
    page = visit.page
    links = page.locator("#nav-sidebar-apps a[href*='/admin/']")
    paths = [link.get_attribute("href") or "" for link in links.all()]
    page.set_viewport_size({"width": PHONE, "height": 844})

    for path in [*paths, "/admin/account/"]:
        page.goto(f"{visit.url}{path}")
        assert _width(page) == PHONE, path
        row = page.locator("#result_list :is(th, td) a").first
        if row.count():
            page.goto(f"{visit.url}{row.get_attribute('href')}")
            assert _width(page) == PHONE, page.url


def _width(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth"))


def _scheme(page: Page) -> str:
    is_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    return "dark" if is_dark else "light"
