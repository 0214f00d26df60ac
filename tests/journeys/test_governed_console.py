"""An approver's visit to the console, in Chromium: the inbox, a budget, what the agent did."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.journeys import hubs, programs
from tests.journeys.governed import APPROVER, Scene, governed
from tests.journeys.test_console import FLAGS, MILLISECONDS, PHONE, Visit


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The hub and the servers around it."""
    with governed(hubs.started_before(tmp_path_factory, "governed-console")) as found:
        yield found


@pytest.fixture
def visit(scene: Scene) -> Iterator[Visit]:
    """The approver, logged in."""
    with sync_playwright() as engines:
        chromium = engines.chromium.launch(executable_path=programs.chromium(), args=FLAGS)
        context = chromium.new_context(viewport={"width": 1400, "height": 900})
        context.set_default_timeout(MILLISECONDS)
        found = Visit(scene.hub.url, context.new_page())
        found.listen()
        found.open("")
        found.page.fill("[name=username]", APPROVER)
        found.page.fill("[name=password]", hubs.PASSWORD)
        found.page.click("button[type=submit]")
        expect(found.page).to_have_title("Overview | Agent Hub")
        yield found
        chromium.close()
    assert found.complaints == []


def gauge(page: Page) -> str:
    """What the gauge of the one budget says."""
    return page.locator(".hub-gauge svg").get_attribute("aria-label") or ""


def test_what_waits_is_approved_in_the_inbox_and_paid_from_the_budget(
    scene: Scene, visit: Visit
) -> None:
    agent_id = scene.make_agent("Pilot")
    budget_id = scene.make_budget(agent_id, "0.001")
    task_id = scene.make_task(agent_id)
    scene.wait_for_reason(task_id, "waiting_for_approval")

    page = visit.open("approvals/approval/")
    row = page.locator("#result_list tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text('text: "Order 7 sails."')
    expect(row.get_by_role("link", name="May order 7 sail?")).to_be_visible()
    visit.picture("approvals")
    row.get_by_role("link", name="May order 7 sail?").click()
    expect(page.locator("#why")).to_contain_text("Somebody has to approve or reject")
    page.set_viewport_size({"width": PHONE, "height": 844})
    page.get_by_role("link", name="Open the approval").click()
    page.locator("#vote").get_by_role("button", name="Approve").click()
    dialog = page.locator("#dialog")
    expect(dialog).to_contain_text("Yours is the last vote that it needs")
    dialog.get_by_role("button", name="Approve").click()
    expect(page.locator(".hub-status").first).to_have_text("Approved")
    page.set_viewport_size({"width": 1400, "height": 900})

    visit.open(f"tasks/task/{task_id}/change/")
    expect(page.locator("#result")).to_contain_text("Order 7 sails in clear weather.")
    calls = page.locator("[data-kind=tool_call]")
    expect(calls).to_contain_text(
        ["weather:forecast", "orders:getOrder", "weather:note"], timeout=MILLISECONDS
    )
    visit.picture("governed-task")

    visit.open("cost/budget/")
    used = scene.get(f"/budgets/{budget_id}")["percent_used"]
    assert used > 0
    assert gauge(page) == f"{used} % spent"
    visit.picture("budgets")
