"""Overrides in seed 004's words (contract 004 C0, C1), and their history."""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from django.test import Client

from accounts.models import User
from agents.models import AgentOverride, AgentOverrideRevision
from audit.models import AuditEvent
from events.models import OutboxEvent
from tests.accounts.factories import make_key, make_token
from tests.agents.factories import change_override, drop_override, make_agent, make_override
from tests.clients import ApiClient, HubClient

Api = Callable[[User | None], ApiClient]
ONE: Final = "/v1/agentoverride"
MANY: Final = "/v1/agentoverrides"
FULL: Final[dict[str, Any]] = {
    "agentName": "Ada",
    "provider": "openai",
    "model": "gpt-4o",
    "systemPrompt": "  Be brief.\n",
    "temperature": 1.5,
    "maxTokens": 100,
    "responseFormat": "json",
    "selectedTools": ["calculator", "http_get"],
    "guardrails": {"maxToolCalls": 3, "timeout": 2000, "maxTokenBudget": 500},
}


def path_of(override: AgentOverride | dict[str, Any]) -> str:
    pk = override["id"] if isinstance(override, dict) else override.pk
    return f"{ONE}/{pk}"


def refusal(answer: Any) -> tuple[int, str]:
    """The status and what seed 004 calls it; the rest of its shape is looked at."""
    body = answer.json()
    assert set(body) == {"result", "status", "message", "errCode", "date", "detail"}
    assert (body["result"], body["status"]) == ("ERR", answer.status_code)
    return answer.status_code, body["message"]


def test_a_new_override_is_answered_in_the_envelope(api: Api, admin: User) -> None:
    answer = api(admin).post(ONE, FULL)

    body = answer.json()
    shown = body.pop("sys_agentOverride")
    assert (answer.status_code, answer["ETag"]) == (201, '"1"')
    assert {type(body.pop(name)) for name in ("elapsedMs", "ssoTime")} == {int}
    assert len(body.pop("cacheKey")) == 32
    assert UUID(body.pop("sessionId")).version == 7
    assert body == {
        "status": "OK",
        "statusCode": 201,
        "source": "db",
        "userId": str(admin.pk),
        "requestId": answer["X-Request-ID"],
        "dataName": "sys_agentOverride",
        "method": "POST",
        "action": "create",
        "appVersion": "0.1.0",
        "rowCount": 1,
    }
    assert UUID(shown.pop("id")).version == 7
    assert shown.pop("createdAt") == shown.pop("updatedAt")
    assert shown == {
        **FULL,
        "enabled": True,
        "updatedBy": str(admin.pk),
        "recordVersion": 1,
        "_owner": str(admin.pk),
        "isActive": True,
    }


def test_what_is_not_sent_is_as_designed(api: Api, admin: User) -> None:
    shown = api(admin).post(ONE, {"agentName": "Ada"}).json()["sys_agentOverride"]

    assert {name: shown[name] for name in FULL} == {
        "agentName": "Ada",
        **dict.fromkeys([name for name in FULL if name != "agentName"]),
    }


def test_lists_are_paged_newest_first(api: Api, viewer: User, stranger: User) -> None:
    for name in "abc":
        make_override(viewer.organization, name)
    make_override(stranger.organization, "d")
    client = api(viewer)

    pages = [client.get(MANY, pageRowCount=2, pageNumber=n).json() for n in (1, 2, 0)]

    assert [[o["agentName"] for o in p["sys_agentOverrides"]] for p in pages] == [
        ["c", "b"],
        ["a"],
        ["c", "b", "a"],
    ]
    assert [page["paging"] for page in pages] == [
        {"pageNumber": 1, "pageRowCount": 2, "totalRowCount": 3, "pageCount": 2},
        {"pageNumber": 2, "pageRowCount": 2, "totalRowCount": 3, "pageCount": 2},
        {"pageNumber": 0, "pageRowCount": 500, "totalRowCount": 3, "pageCount": 1},
    ]
    assert {(p["dataName"], p["action"]) for p in pages} == {("sys_agentOverrides", "list")}
    assert [page["rowCount"] for page in pages] == [2, 1, 3]
    assert pages[0]["filters"] == pages[0]["uiPermissions"] == []


def test_a_page_is_at_most_500_rows_and_its_number_one(api: Api, viewer: User) -> None:
    client = api(viewer)

    assert client.get(MANY, pageRowCount=501).json()["paging"]["pageRowCount"] == 500
    for query in ({"pageNumber": "x"}, {"pageNumber": "-1"}, {"pageRowCount": "0"}):
        (name,) = query
        assert refusal(client.get(MANY, **query)) == (400, f"errMsg_{name}TypeIsNotValid")
    assert refusal(client.get(MANY, pageNumber=10_001)) == (400, "errMsg_pageNumberIsNotValid")
    assert client.get(MANY, pageNumber=10_000).json()["paging"]["pageNumber"] == 10_000


def test_the_request_id_may_be_the_callers(api: Api, viewer: User) -> None:
    client = api(viewer)

    assert client.get(MANY, requestId="my-1").json()["requestId"] == "my-1"
    assert client.get(MANY, requestId="<b>").json()["requestId"] != "<b>"


def test_a_change_keeps_what_is_absent_and_null_is_the_design(api: Api, admin: User) -> None:
    client = api(admin)
    made = client.post(ONE, FULL).json()["sys_agentOverride"]

    answer = client.patch(path_of(made), {"model": None, "temperature": 0, "agentName": "Bob"})

    shown = answer.json()["sys_agentOverride"]
    changed = {name for name in made if made[name] != shown[name]}
    assert changed == {"model", "temperature", "recordVersion", "updatedAt"}
    assert (shown["model"], shown["temperature"], shown["recordVersion"]) == (None, 0.0, 2)
    assert (answer.json()["action"], answer.json()["method"]) == ("update", "PATCH")


def test_a_change_of_nothing_writes_nothing(api: Api, admin: User) -> None:
    client = api(admin)
    made = client.post(ONE, FULL).json()["sys_agentOverride"]

    again = client.patch(path_of(made), FULL).json()["sys_agentOverride"]

    assert again == made
    assert AgentOverrideRevision.objects.count() == 1


def test_a_deleted_override_is_answered_once_more_and_gone(api: Api, admin: User) -> None:
    client = api(admin)
    made = client.post(ONE, FULL).json()["sys_agentOverride"]

    gone = client.delete(path_of(made)).json()

    assert (gone["action"], gone["sys_agentOverride"]["isActive"]) == ("delete", False)
    assert gone["sys_agentOverride"]["systemPrompt"] == FULL["systemPrompt"]
    assert refusal(client.get(path_of(made))) == (404, "errMsg_RecordNotFound")
    assert refusal(client.delete(path_of(made))) == (404, "errMsg_RecordNotFoundToDelete")
    assert client.get(MANY).json()["sys_agentOverrides"] == []
    assert client.post(ONE, FULL).status_code == 201


def test_there_is_one_override_for_a_name(api: Api, admin: User, stranger: User) -> None:
    make_override(admin.organization, "Ada")
    make_override(stranger.organization, "Bob")
    client = api(admin)

    assert refusal(client.post(ONE, FULL)) == (
        409,
        "errMsg_DuplicateUniqueIndexError:agentName-index",
    )
    assert client.post(ONE, {"agentName": "Bob"}).status_code == 201


@pytest.mark.parametrize("name", ["id", "sys_agentOverrideId"])
def test_ids_of_clients_are_ignored(api: Api, admin: User, name: str) -> None:
    """The origin let POST overwrite any row by them."""
    theirs = make_override(admin.organization, "Bob", max_tokens=1)
    client = api(admin)

    made = client.post(f"{ONE}?{name}={theirs.pk}", {**FULL, name: str(theirs.pk)}).json()

    theirs.refresh_from_db()
    assert made["sys_agentOverride"]["id"] != str(theirs.pk)
    assert (theirs.agent_name, theirs.max_tokens, theirs.record_version) == ("Bob", 1, 1)


def test_nobody_says_who_wrote(api: Api, admin: User) -> None:
    other = str(uuid4())

    shown = api(admin).post(ONE, {**FULL, "updatedBy": other, "_owner": other, "recordVersion": 9})

    made = shown.json()["sys_agentOverride"]
    assert (made["updatedBy"], made["_owner"], made["recordVersion"]) == (
        str(admin.pk),
        str(admin.pk),
        1,
    )


def test_a_key_writes_for_its_owner(admin: User) -> None:
    client = HubClient(headers={"X-API-Key": make_key(admin, "write")})

    answer = client.post(ONE, FULL, content_type="application/json").json()

    assert answer["userId"] == answer["sys_agentOverride"]["updatedBy"] == str(admin.pk)
    assert AuditEvent.objects.get(action="agent_override.create").actor_type == "key"


def test_json_columns_are_taken_as_text(api: Api, admin: User) -> None:
    sent = {**FULL, "selectedTools": '["calculator"]', "guardrails": '{"timeout": 1000}'}

    shown = api(admin).post(ONE, sent).json()["sys_agentOverride"]

    assert (shown["selectedTools"], shown["guardrails"]) == (["calculator"], {"timeout": 1000})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"agentName": None}, "agentNameisRequired"),
        ({"agentName": ""}, "agentNameisRequired"),
        ({"agentName": "x" * 256}, "agentNameIsNotValid"),
        ({"provider": "skynet"}, "providerIsNotValid"),
        ({"temperature": 2.1}, "temperatureIsNotValid"),
        ({"temperature": "hot"}, "temperatureTypeIsNotValid"),
        ({"temperature": "nan"}, "temperatureTypeIsNotValid"),
        ({"maxTokens": 0}, "maxTokensIsNotValid"),
        ({"maxTokens": []}, "maxTokensMustNotBeAnArray"),
        ({"responseFormat": "xml"}, "responseFormatIsNotValid"),
        ({"selectedTools": ["no_such"]}, "selectedToolsIsNotValid"),
        ({"selectedTools": "calculator"}, "selectedToolsTypeIsNotValid"),
        ({"selectedTools": {"a": 1}}, "selectedToolsTypeIsNotValid"),
        ({"guardrails": {"maxToolCalls": 101}}, "guardrailsIsNotValid"),
        ({"guardrails": {"timeout": 999}}, "guardrailsIsNotValid"),
        ({"guardrails": {"timeout": 600_001}}, "guardrailsIsNotValid"),
        ({"guardrails": {"maxTokenBudget": 0}}, "guardrailsIsNotValid"),
        ({"guardrails": {"maxToolcalls": 3}}, "guardrailsIsNotValid"),
        ({"guardrails": "3"}, "guardrailsTypeIsNotValid"),
        ({"enabled": "perhaps"}, "enabledTypeIsNotValid"),
    ],
    ids=str,
)
def test_wrong_values_are_named(api: Api, admin: User, wrong: dict[str, Any], message: str) -> None:
    answer = api(admin).post(ONE, {**FULL, **wrong})

    assert refusal(answer) == (400, f"errMsg_{message}")
    assert next(iter(wrong)).lower() in answer.json()["detail"].lower().replace("_", "")
    assert not AgentOverride.objects.exists()


def test_a_body_that_is_no_object_or_no_json(api: Api, admin: User) -> None:
    client = api(admin)

    assert refusal(client.post(ONE, b"[]")) == (400, "errMsg_bodyTypeIsNotValid")
    assert refusal(client.post(ONE, b"{")) == (400, "errMsg_BadRequest")
    assert refusal(client.post(ONE, {})) == (400, "errMsg_agentNameisRequired")


def test_the_order_of_refusal(api: Api, viewer: User, admin: User, stranger: User) -> None:
    """401, 400, 403, 404 (contract 004 C0)."""
    override = make_override(viewer.organization, "Ada")
    malformed, unknown = f"{ONE}/x", f"{ONE}/{uuid4()}"
    bad, good = {"temperature": 9}, {"temperature": 1}

    assert refusal(api(None).patch(malformed, bad)) == (
        401,
        "errMsg_updateAgentOverrideRequiresLogin",
    )
    assert refusal(api(viewer).patch(malformed, good)) == (
        400,
        "errMsg_sys_agentOverrideIdisNotAValidID",
    )
    assert refusal(api(viewer).patch(unknown, bad)) == (400, "errMsg_temperatureIsNotValid")
    assert refusal(api(viewer).patch(unknown, good)) == (403, "errMsg_ForbiddenAccess")
    assert refusal(api(viewer).post(ONE, {})) == (400, "errMsg_agentNameisRequired")
    assert refusal(api(admin).patch(unknown, good)) == (404, "errMsg_RecordNotFound")
    assert refusal(api(stranger).patch(path_of(override), good)) == (
        404,
        "errMsg_RecordNotFound",
    )


def test_who_may_change_agents_may_not_override_them(api: Api, operator: User) -> None:
    """A prompt and tools decide what an agent may do: that is the administrator's."""
    override = make_override(operator.organization, "Ada")
    client = api(operator)

    answers = [
        client.post(ONE, FULL),
        client.patch(path_of(override), {"enabled": False}),
        client.delete(path_of(override)),
    ]

    assert [refusal(answer) for answer in answers] == [(403, "errMsg_ForbiddenAccess")] * 3
    assert client.get(path_of(override)).status_code == 200
    override.refresh_from_db()
    assert (override.enabled, override.deleted_at) == (True, None)


@pytest.mark.parametrize(
    ("header", "body", "status"),
    [
        ('"2"', {}, 200),
        ("2", {}, 200),
        ('W/"2"', {}, 200),
        ("*", {}, 200),
        ('"1"', {}, 409),
        ('"3"', {}, 409),
        (None, {"recordVersion": 2}, 200),
        (None, {"recordVersion": 1}, 409),
        ('"2"', {"recordVersion": 1}, 409),
        ('"new"', {}, 400),
    ],
)
def test_whoever_read_an_older_state_does_not_write_over_it(
    admin: User, header: str | None, body: dict[str, Any], status: int
) -> None:
    override = change_override(make_override(admin.organization, "Ada"), max_tokens=5)
    client = HubClient(
        headers={
            "Authorization": f"Bearer {make_token(admin)}",
            **({"If-Match": header} if header else {}),
        }
    )

    answer = client.patch(
        path_of(override), {"maxTokens": 6, **body}, content_type="application/json"
    )

    override.refresh_from_db()
    assert answer.status_code == status
    assert override.max_tokens == (6 if status == 200 else 5)
    if status == 409:
        assert refusal(answer)[1] == "errMsg_RecordVersionMismatch"


def test_a_delete_may_name_the_state_too(admin: User) -> None:
    override = make_override(admin.organization, "Ada")
    client = HubClient(headers={"Authorization": f"Bearer {make_token(admin)}"})

    stale = client.delete(path_of(override), headers={"If-Match": '"7"'})

    assert refusal(stale) == (409, "errMsg_RecordVersionMismatch")
    assert client.delete(path_of(override), headers={"If-Match": '"1"'}).status_code == 200


def test_the_token_goes_any_of_seed_004s_ways(viewer: User) -> None:
    token = make_token(viewer)
    cookie = Client()
    cookie.cookies["agenthub-access-token"] = token

    ways = [
        HubClient(headers={"Authorization": f"Bearer {token}"}).get(MANY),
        HubClient(headers={"agenthub-access-token": token}).get(MANY),
        cookie.get(MANY),
        HubClient().get(f"{MANY}?access_token={token}"),
    ]

    assert [answer.status_code for answer in ways] == [200, 200, 200, 401]


def test_each_write_is_audited_and_told(api: Api, admin: User) -> None:
    client = api(admin)
    made = client.post(ONE, FULL).json()["sys_agentOverride"]
    client.patch(path_of(made), {"enabled": False, "systemPrompt": "A secret plan."})
    client.delete(path_of(made))

    rows = AuditEvent.objects.filter(resource_type="agent_override").order_by("pk")
    told = OutboxEvent.objects.filter(type__startswith="agentoverride").order_by("pk")
    row_events = OutboxEvent.objects.filter(type__startswith="dbevent-sys_").order_by("pk")
    assert [(row.action, row.details["record_version"]) for row in rows] == [
        ("agent_override.create", 1),
        ("agent_override.update", 2),
        ("agent_override.delete", 3),
    ]
    assert rows[1].details == {
        "agent_name": "Ada",
        "record_version": 2,
        "fields": ["enabled", "system_prompt"],
        "enabled": False,
    }
    assert [event.type for event in told] == [
        "agentoverride-created",
        "agentoverride-updated",
        "agentoverride-deleted",
    ]
    assert told[1].data == {
        "id": made["id"],
        "agentName": "Ada",
        "enabled": False,
        "recordVersion": 2,
        "fields": ["enabled", "system_prompt"],
    }
    assert [event.type for event in row_events] == [f"dbevent-sys_{e.type}" for e in told]
    changed, last = row_events[1].data, row_events[2].data["sys_agentOverride"]
    assert (changed["oldDataValues"], changed["newDataValues"]) == (
        {"enabled": True},
        {"enabled": False},
    )
    assert changed["old_sys_agentOverride"] == {
        **changed["sys_agentOverride"],
        "enabled": True,
        "recordVersion": 1,
    }
    assert (last["recordVersion"], last["isActive"], last["updatedBy"]) == (3, False, str(admin.pk))
    spoken = [row.details for row in rows] + [e.data for e in (*told, *row_events)]
    assert "secret plan" not in str(spoken)


def test_an_overridden_agent_keeps_its_name(api: Api, operator: User) -> None:
    """Else whoever may change an agent could take it out of the override."""
    agent = make_agent(operator.organization, name="Ada")
    override = make_override(operator.organization, "Ada", enabled=False)
    client = api(operator)

    refused = client.patch(f"/api/v1/agents/{agent.pk}", {"name": "Bob"})
    drop_override(override)

    assert (refused.status_code, refused.json()["code"]) == (409, "agent.overridden")
    assert client.patch(f"/api/v1/agents/{agent.pk}", {"name": "Bob"}).status_code == 200


def test_what_an_override_was_is_kept_and_comes_back(api: Api, admin: User) -> None:
    override = make_override(admin.organization, "Ada", max_tokens=1, enabled=False)
    change_override(override, max_tokens=2, enabled=True)
    history = f"/api/v1/agent-overrides/{override.pk}/revisions"
    client = api(admin)

    answer = client.post(f"{history}/1/rollback")

    override.refresh_from_db()
    assert (answer.status_code, answer.json()["number"]) == (200, 3)
    assert (override.max_tokens, override.enabled, override.record_version) == (1, False, 3)
    assert [
        (r["number"], r["values"]["max_tokens"]) for r in client.get(history).json()["items"]
    ] == [
        (3, 1),
        (2, 2),
        (1, 1),
    ]
    assert AuditEvent.objects.get(action="agent_override.rollback").details == {
        "agent_name": "Ada",
        "record_version": 3,
        "revision": 1,
        "fields": ["enabled", "max_tokens"],
        "enabled": False,
    }


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        ("2", 409, "agent_override.revision_is_current"),
        ("9", 404, "agent_override.revision_not_found"),
        ("x", 422, "validation.invalid"),
    ],
)
def test_what_cannot_come_back(api: Api, admin: User, number: str, status: int, code: str) -> None:
    override = change_override(make_override(admin.organization, "Ada"), max_tokens=2)

    answer = api(admin).post(f"/api/v1/agent-overrides/{override.pk}/revisions/{number}/rollback")

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert AgentOverrideRevision.objects.count() == 2
