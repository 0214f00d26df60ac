"""An approver's visit to the console, in Chromium: the inbox, a budget, what the agent did."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.journeys import hubs, programs
from tests.journeys.governed import APPROVER, Scene, governed
from tests.journeys.test_console import FLAGS, MILLISECONDS, PHONE, Visit
from tests.peers.script import Answer, Refusal

DESK: Final[Any] = {"width": 1400, "height": 900}
# What sticks out of the screen to the right, though some box around it may hide that.
STICKS_OUT: Final = """[...document.querySelectorAll("#main *")]
    .filter((each) => each.checkVisibility() && each.getBoundingClientRect().right > innerWidth)
    .map((each) => each.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The hub and the servers around it."""
    with governed(hubs.started_before(tmp_path_factory, "governed-console")) as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser; a machine that is busy gets its time."""
    expect.set_options(timeout=MILLISECONDS)
    with sync_playwright() as engines:
        found = engines.chromium.launch(executable_path=programs.chromium(), args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def signed_in(scene: Scene, chromium: Browser) -> Any:
    """The cookies of an approver who has logged in."""
    context = chromium.new_context()
    context.set_default_timeout(MILLISECONDS)
    page = context.new_page()
    page.goto(f"{scene.hub.url}/admin/")
    page.fill("[name=username]", APPROVER)
    page.fill("[name=password]", hubs.PASSWORD)
    page.click("button[type=submit]")
    expect(page).to_have_title("Overview | Agent Hub")
    found = context.storage_state()
    context.close()
    return found


@pytest.fixture
def visit(scene: Scene, signed_in: Any, chromium: Browser) -> Iterator[Visit]:
    """A visit of the approver, without a complaint."""
    context = chromium.new_context(storage_state=signed_in, viewport=DESK)
    context.set_default_timeout(MILLISECONDS)
    found = Visit(scene.hub.url, context.new_page())
    found.listen()
    yield found
    context.close()
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
    page.set_viewport_size(DESK)

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


def give(scene: Scene, agent_id: str, title: str) -> str:
    """A task for the agent."""
    return str(scene.post("/tasks/", title=title, agent_id=agent_id)["id"])


def ask(page: Page, button: str) -> Locator:
    """Press a button of the page, and wait for its dialog."""
    words = re.compile(rf"(^|\s){button}\s*$")  # beside its icon, which is a word to the browser
    found = page.locator("#main :is(a, button)").filter(has_text=words)
    found.wait_for()
    page.wait_for_load_state()  # before that, no script listens
    found.click()
    dialog = page.get_by_role("dialog", name=button)
    expect(dialog).to_be_visible()
    return dialog


def send(dialog: Locator, button: str) -> None:
    """Press the dialog's button."""
    dialog.get_by_role("button", name=button, exact=True).click()


def press(page: Page, button: str, question: str) -> None:
    """Both, for a dialog that only asks."""
    dialog = ask(page, button)
    expect(dialog).to_contain_text(question)
    send(dialog, button)


def assert_fits_a_phone(page: Page) -> None:
    """Nothing of the page lies beyond the screen's edge."""
    page.wait_for_load_state()
    page.set_viewport_size({"width": PHONE, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE, page.url
    assert page.evaluate(STICKS_OUT) == []


def state(page: Page) -> Locator:
    """The coloured word on an object's page."""
    return page.locator(".hub-status").first


def expect_result(page: Page, text: str) -> None:
    """The task's page has the answer, and has loaded itself for the last time."""
    expect(page.locator("#result")).to_have_text(text)
    expect(page.locator("#main").get_by_text("Cancel task")).to_have_count(0)


def fork_after_the_call(page: Page, words: str) -> None:
    """Begin a task that goes on after the run's one tool call, the second step."""
    page.locator("[data-kind=tool_call]").get_by_role("button", name="Fork from here").click()
    dialog = page.get_by_role("dialog", name="Fork")
    expect(dialog.get_by_label("Last step that is kept")).to_have_value("2")
    dialog.get_by_label("What to tell the agent").fill(words)
    send(dialog, "Fork")


def fail_for_good(scene: Scene, agent_name: str, titles: list[str]) -> list[str]:
    """Tasks that the provider refused, and would do by now."""
    agent_id = scene.make_agent(agent_name)
    scene.models.follow(Refusal(status=400))
    tasks = [give(scene, agent_id, title) for title in titles]
    for task_id in tasks:
        scene.wait_for_status(task_id, "failed")
    scene.models.follow(Answer(text="The sail is mended."))
    return tasks


def test_what_failed_for_good_is_put_back_to_work_once(scene: Scene, visit: Visit) -> None:
    (task_id,) = fail_for_good(scene, "Sailmaker", ["Mend the mainsail"])
    page = visit.open("dead_letters/deadletter/")
    expect(page.locator("#result_list")).to_contain_text("OpenAI refused the request (400).")
    visit.picture("dead-letters")
    page.get_by_role("link", name="Groups of what failed alike").click()
    group = page.locator(".hub-card")
    expect(group).to_contain_text("provider rejected")
    group.get_by_role("link", name="Show them").click()
    page.get_by_role("link", name="Mend the mainsail").click()
    page.wait_for_url(re.compile("/change/"))
    second = page.context.new_page()
    second.goto(page.url)

    press(page, "Retry", "The task begins anew, with all its retries.")
    expect(state(page)).to_have_text("Retried")
    page.locator("#content").get_by_role("link", name="Mend the mainsail").click()
    expect_result(page, "The sail is mended.")

    press(second, "Retry", "The task begins anew, with all its retries.")
    expect(second.locator("#main")).to_contain_text("The task is back at work already.")
    expect(state(second)).to_have_text("Retried")
    assert scene.get(f"/tasks/{task_id}")["attempt_count"] == 2


def test_what_failed_alike_is_put_back_to_work_on_a_phone(scene: Scene, visit: Visit) -> None:
    tasks = fail_for_good(scene, "Rigger", ["Mend the jib", "Mend the spanker"])
    page = visit.open("dead_letters/deadletter/")
    assert_fits_a_phone(page)
    visit.picture("dead-letters-phone")
    page.get_by_role("link", name="Groups of what failed alike").click()
    expect(page.locator(".hub-card")).to_have_count(1)
    assert_fits_a_phone(page)

    press(page, "Retry the group", "2 tasks go back to work, with all retries.")

    expect(page.locator("#main")).to_contain_text("2 tasks are back at work.")
    for task_id in tasks:
        scene.wait_for_status(task_id, "completed")


def test_a_run_is_played_again_and_forked_from_its_page(scene: Scene, visit: Visit) -> None:
    agent_id = scene.make_agent("Navigator")
    forecast = Answer(tool_calls=(("weather_forecast", {"city": "Oslo"}),))
    scene.models.follow(forecast, Answer(text="Fair in Oslo."))
    task_id = give(scene, agent_id, "How is the weather?")
    scene.wait_for_status(task_id, "completed")
    calls, asked = len(scene.weather.calls), len(scene.models.requests)
    page = visit.open(f"tasks/task/{task_id}/change/")
    page.get_by_role("link", name="Execution", exact=True).click()
    expect(page.get_by_role("button", name="Fork from here")).to_have_count(2)
    origin = page.url
    visit.picture("execution")

    send(ask(page, "Replay"), "Replay")
    expect_result(page, "Fair in Oslo.")
    page.get_by_role("link", name="Execution", exact=True).click()
    expect(page.locator("#main")).to_contain_text("It ended as that one did.")
    page.get_by_role("link", name="another run").click()
    page.wait_for_url(origin)
    assert (len(scene.weather.calls), len(scene.models.requests)) == (calls, asked)

    scene.models.follow(Answer(text="Fair, but take a coat."))
    fork_after_the_call(page, "Mind the cold.")
    expect_result(page, "Fair, but take a coat.")
    assert (len(scene.weather.calls), len(scene.models.requests)) == (calls, asked + 1)
    page.get_by_role("link", name="Execution", exact=True).click()
    page.get_by_role("link", name="goes on from another run").click()
    expect(page.locator("[data-kind]")).to_have_count(2)
    expect(page.locator(".hub-bad")).to_have_count(0)
    visit.picture("execution-copied")
    page.get_by_role("link", name="copied from another run").click()
    page.wait_for_url(origin)


def test_an_agent_is_disabled_and_an_override_is_rolled_back(scene: Scene, visit: Visit) -> None:
    agent_id = scene.make_agent("Purser")
    scene.models.follow(Answer(text="There are seven."))
    page = visit.open("agents/agentoverride/")
    dialog = ask(page, "New override")
    dialog.get_by_label("Agent", exact=True).select_option("Purser")
    dialog.get_by_label("System prompt").fill("Count the barrels.")
    send(dialog, "New override")
    page.locator("#result_list th").get_by_role("link", name="Purser").click()
    press(page, "Disable agent", "Nothing runs under this name")
    newest = page.locator("#versions .hub-card").first
    expect(newest).to_contain_text(re.compile(r"Revision 2.*enabled\s*True\s*False", re.DOTALL))

    task_id = give(scene, agent_id, "How many barrels?")
    scene.wait_for_reason(task_id, "agent_disabled")
    visit.open(f"tasks/task/{task_id}/change/")
    expect(page.locator("#why")).to_contain_text("The task waits until somebody enables an agent.")
    page.locator("#why").get_by_role("link", name="Open the override").click()
    dialog = ask(page, "Change")
    dialog.get_by_label("System prompt").fill("Count the sacks.")
    send(dialog, "Change")
    expect(newest.locator("del")).to_have_text("Count the barrels.")
    expect(newest.locator("ins")).to_have_text("Count the sacks.")
    visit.picture("override")

    dialog = ask(page, "Roll back")
    dialog.get_by_label("Revision").select_option("1")
    send(dialog, "Roll back")
    expect(newest).to_contain_text("Revision 4")
    expect(newest.locator("ins")).to_have_text(["True", "Count the barrels."])
    visit.open(f"tasks/task/{task_id}/change/")
    expect_result(page, "There are seven.")
    assert "Count the barrels." in str(scene.models.requests[-1].body["messages"])


def test_a_budget_is_made_and_raised_by_its_forms(scene: Scene, visit: Visit) -> None:
    agent_id = scene.make_agent("Quartermaster")
    scene.models.follow(Answer(text="The rope is bought."))
    page = visit.open("cost/budget/")
    dialog = ask(page, "New budget")
    dialog.get_by_label(re.compile(r"^\s*Of\b")).select_option("agent")
    dialog.get_by_label("Which agent").select_option("Quartermaster")
    dialog.get_by_label("Limit in US dollars").fill("0.00001")
    dialog.get_by_label("At the limit").select_option("hard")
    visit.picture("budget-new")
    send(dialog, "New budget")
    expect(page.locator("#result_list")).to_contain_text("Quartermaster")

    task_id = give(scene, agent_id, "Buy rope.")
    scene.wait_for_reason(task_id, "budget_exhausted")
    visit.open(f"tasks/task/{task_id}/change/")
    expect(page.locator("#why")).to_contain_text("The task waits for a budget.")
    page.locator("#why").get_by_role("link", name="Open the budget").click()
    dialog = ask(page, "Change")
    limit = dialog.get_by_label("Limit in US dollars")
    expect(limit).to_have_value("0.00001")
    limit.fill("20")
    send(dialog, "Change")
    expect(page.locator("#content")).to_contain_text("$20.0000")
    ask(page, "Change")
    expect(limit).to_have_value("20")

    visit.open(f"tasks/task/{task_id}/change/")
    expect_result(page, "The rope is bought.")


def test_a_provider_is_held_and_let_go_on_the_board(scene: Scene, visit: Visit) -> None:
    agent_id = scene.make_agent("Helmsman")
    scene.models.follow(Answer(text="Steady as she goes."))
    page = visit.open("breakers/circuitbreaker/")
    dialog = ask(page, "New breaker")
    dialog.get_by_label("Name").fill("provider:openai")
    send(dialog, "New breaker")
    page.get_by_role("link", name="provider:openai").click()
    press(page, "Hold open", "No call goes out until it is reset.")
    expect(state(page)).to_have_text("Open, held")

    task_id = give(scene, agent_id, "How is the helm?")
    scene.wait_for_reason(task_id, "breaker_open")
    visit.open("breakers/circuitbreaker/")
    expect(page.locator("#result_list")).to_contain_text(f"by {APPROVER}")
    visit.picture("breakers")
    assert_fits_a_phone(page)
    visit.picture("breakers-phone")
    visit.open(f"tasks/task/{task_id}/change/")
    why = page.locator("#why")
    expect(why).to_contain_text("The task waits for a circuit breaker to close.")
    why.get_by_role("link", name="Open the breaker").click()
    expect(state(page)).to_have_text("Open, held")
    assert_fits_a_phone(page)
    page.get_by_role("link", name="Actions").click()
    press(page, "Reset", "It is closed, nobody holds it")
    expect(state(page)).to_have_text("Closed")

    visit.open(f"tasks/task/{task_id}/change/")
    expect_result(page, "Steady as she goes.")
