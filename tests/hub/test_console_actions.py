"""Buttons and list actions: who may, in which state, on whose rows, and only by POST."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.db.models import Model
from django.test import Client

from accounts.models import Session, User
from agents.models import Agent
from audit.models import AuditEvent
from kernel import clock
from knowledge.models import KnowledgeEntry
from tasks.choices import TaskStatus
from tasks.models import Task
from tests.accounts.factories import make_token
from tests.agents.factories import make_agent
from tests.hub.console_rows import address, finish_task, list_address
from tests.knowledge import factories as knowledge
from tests.tasks.factories import make_task

SUBMITTED = {"_form_submitted": "on"}


def started(user: User) -> Model:
    return make_agent(user.organization)


def stopped(user: User) -> Model:
    return make_agent(user.organization, started=False)


def waiting(user: User) -> Model:
    return make_task(user.organization)


def failed(user: User) -> Model:
    task = make_task(user.organization)
    Task.objects.filter(pk=task.pk).update(status=TaskStatus.FAILED)
    return task


def session(user: User) -> Model:
    make_token(user)
    return Session.objects.get(user=user, kind="api")


def entry(user: User) -> Model:
    return knowledge.entry(user.organization)


Row = Callable[[User], Model]


@dataclass(frozen=True, slots=True)
class Action:
    """An action of a list, the button on a page, a row that allows them, and the audit's word."""

    listed: str
    button: str
    make: Row
    trace: str


ACTIONS = (
    Action("start_agents", "start_agent", stopped, "agent.start"),
    Action("stop_agents", "stop_agent", started, "agent.stop"),
    Action("cancel_tasks", "cancel_task", waiting, "task.cancel"),
    Action("retry_tasks", "retry_task", failed, "task.update"),
    Action("revoke_sessions", "revoke_session", session, "session.revoke"),
    Action("delete_entries", "delete_entry", entry, "knowledge.delete"),
)
every_action = pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.button)


def run(client: Client, action: str, *rows: Model, **more: str) -> int:
    """The action on the rows of their list; the answer's status."""
    asked = {"action": action, "_selected_action": [str(row.pk) for row in rows], **more}
    return client.post(list_address(type(rows[0])), asked).status_code


def press(client: Client, button: str, row: Model) -> int:
    """The button on the page of a row, its dialog confirmed; the answer's status."""
    return client.post(address(type(row), row.pk, button), SUBMITTED).status_code


def traces(row: Model) -> list[str]:
    """The audit of a row since it was made."""
    rows = AuditEvent.objects.filter(resource_id=str(row.pk)).order_by("pk")
    return list(rows.values_list("action", flat=True))


@every_action
def test_an_administrator_acts(client: Client, admin: User, action: Action) -> None:
    client.force_login(admin)
    by_action = action.make(admin)
    before = traces(by_action)

    assert run(client, action.listed, by_action) == 302

    assert len(traces(by_action)) == len(before) + 1
    event = AuditEvent.objects.filter(resource_id=str(by_action.pk)).latest("pk")
    assert (event.actor_type, event.actor_id) == ("user", str(admin.pk))


@every_action
def test_an_administrator_presses_the_button(client: Client, admin: User, action: Action) -> None:
    client.force_login(admin)
    row = action.make(admin)

    assert press(client, action.button, row) == 302

    assert traces(row)[-1] == action.trace


@every_action
def test_looking_at_the_dialog_changes_nothing(client: Client, admin: User, action: Action) -> None:
    client.force_login(admin)
    row = action.make(admin)
    before = traces(row)

    dialog = client.get(address(type(row), row.pk, action.button), SUBMITTED)

    assert 'method="post"' in dialog.content.decode()
    assert traces(row) == before


@every_action
def test_a_viewer_is_neither_offered_nor_allowed_it(
    client: Client, admin: User, viewer: User, action: Action
) -> None:
    client.force_login(viewer)
    row = action.make(admin)
    before = traces(row)

    assert press(client, action.button, row) == 403
    assert run(client, action.listed, row) in {200, 403}

    assert traces(row) == before
    page = client.get(address(type(row), row.pk)).content.decode()
    page += client.get(list_address(type(row))).content.decode()
    assert action.button not in page
    assert action.listed not in page


@every_action
def test_another_organizations_row_is_left_alone(
    client: Client, admin: User, stranger: User, action: Action
) -> None:
    client.force_login(admin)
    row = action.make(stranger)
    before = traces(row)

    assert press(client, action.button, row) == 302
    assert run(client, action.listed, row) == 302

    assert traces(row) == before


@every_action
def test_a_dialog_without_its_token_is_refused(admin: User, action: Action) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(admin)
    row = action.make(admin)
    before = traces(row)

    assert press(strict, action.button, row) == 403
    assert run(strict, action.listed, row) == 403

    assert traces(row) == before


@every_action
@pytest.mark.parametrize("pk", ["not-an-id", "%00"])
def test_a_button_of_no_row_leads_back(
    client: Client, admin: User, pk: str, action: Action
) -> None:
    client.force_login(admin)
    model = type(action.make(admin))

    assert client.post(f"{list_address(model)}{pk}/{action.button}/", SUBMITTED).status_code == 302


@pytest.mark.parametrize(
    ("make", "offered"),
    [
        (started, {"run_agent", "stop_agent", "disable_agent"}),
        (stopped, {"start_agent", "disable_agent"}),
        (waiting, {"cancel_task"}),
        (failed, {"retry_task"}),
        (lambda user: finish_task(user.organization).task, set()),
    ],
    ids=["started", "stopped", "waiting", "failed", "completed"],
)
def test_buttons_follow_the_state(
    client: Client, admin: User, make: Row, offered: set[str]
) -> None:
    client.force_login(admin)
    row = make(admin)

    page = client.get(address(type(row), row.pk))

    paths = {
        button["path"].rstrip("/").rpartition("/")[2] for button in page.context["actions_detail"]
    }
    assert paths == offered


def test_a_failed_task_without_retries_left_is_not_offered_another(
    client: Client, admin: User
) -> None:
    client.force_login(admin)
    task = make_task(admin.organization, max_retries=0)
    Task.objects.update(status=TaskStatus.FAILED)

    assert client.get(address(Task, task.pk)).context["actions_detail"] == []


def test_an_action_the_state_forbids_says_so(client: Client, admin: User) -> None:
    client.force_login(admin)
    task = finish_task(admin.organization).task

    answer = client.post(address(Task, task.pk, "cancel_task"), SUBMITTED, follow=True)

    (message,) = answer.context["messages"]
    assert message.level_tag == "error"
    assert traces(task)[-1] == "task.complete"


def test_a_dialog_in_the_page_leads_the_whole_page_back(client: Client, admin: User) -> None:
    client.force_login(admin)
    agent = make_agent(admin.organization)

    answer = client.post(
        address(Agent, agent.pk, "stop_agent"), SUBMITTED, headers={"HX-Request": "true"}
    )

    assert answer["HX-Redirect"] == address(Agent, agent.pk)


def test_an_action_never_takes_all_pages_at_once(client: Client, admin: User) -> None:
    client.force_login(admin)
    ticked, other = make_task(admin.organization), make_task(admin.organization)

    run(client, "cancel_tasks", ticked, select_across="1")

    assert set(Task.objects.values_list("pk", "status")) == {
        (ticked.pk, "pending"),
        (other.pk, "pending"),
    }


def test_a_revoked_session_ends_at_once(client: Client, admin: User, viewer: User) -> None:
    client.force_login(admin)
    make_token(viewer)

    run(client, "revoke_sessions", Session.objects.get(user=viewer))

    assert not Session.objects.get(user=viewer).is_alive(now=clock.now())


def test_a_deleted_entry_leaves_the_list(client: Client, admin: User) -> None:
    client.force_login(admin)
    kept, gone = knowledge.entry(admin.organization), knowledge.entry(admin.organization)

    answer = client.post(address(KnowledgeEntry, gone.pk, "delete_entry"), SUBMITTED, follow=True)

    assert [row.pk for row in answer.context["cl"].result_list] == [kept.pk]
